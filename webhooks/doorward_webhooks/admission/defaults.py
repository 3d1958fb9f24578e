"""What a new task gets that its author has left out: the name of whoever asks.

Filled in before anything judges the task, so that the policies, capability and ledger all see the same name.
A name that is there stays: whether it may be there is for the policy `identities` to say.
"""

from __future__ import annotations

from collections.abc import Mapping

from doorward.errors import Code, Refusal
from doorward_webhooks.admission.review import Operation, Patch, Review


def of_task(review: Review) -> Patch:
    """The changes to a new AgentTask; none where its requester is named, and none to what is no task at all.

    Raises:
        Refusal: `malformed` for a question about anything else.

    """
    asked = (review.operation, review.resource, review.subresource)
    if asked != (Operation.CREATE, "agenttasks", ""):
        raise Refusal(Code.MALFORMED, "only new AgentTasks are filled in here")
    spec = (review.object or {}).get("spec")
    if not isinstance(spec, Mapping) or spec.get("requestedBy") is not None:
        return ()  # the schema refuses a task without a spec, with a better sentence than ours
    return ({"op": "add", "path": "/spec/requestedBy", "value": review.user.name},)
