"""What a new object gets that its author has left out: who asks, as the API server knows them.

Filled in before anything judges the object, so that the policies, capability and ledger all see the same
names. A name that is there stays: whether it may be there is for the policy `identities` to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from doorward.errors import Code, Refusal
from doorward_webhooks.admission.review import Operation, Patch, Review, User


def _name(user: User) -> Any:
    return user.name


def _groups(user: User) -> Any:
    return list(user.groups)


_MEMBERS: Final[Mapping[str, Mapping[str, Callable[[User], Any]]]] = {
    "agenttasks": {"requestedBy": _name, "createdBy": _name},
    "grants": {"author": _name},
    "approvals": {"user": _name, "groups": _groups},
    "thaws": {"user": _name},
}
"""Resource -> member of its spec -> what it is filled in with."""


def of_new(review: Review) -> Patch:
    """The changes to a new object; none to members that are there, and none to what has no spec.

    Raises:
        Refusal: `malformed` for a question about anything else than a new object of the kinds above.

    """
    members = _MEMBERS.get(review.resource)
    if members is None or (review.operation, review.subresource) != (Operation.CREATE, ""):
        raise Refusal(Code.MALFORMED, "only new AgentTasks, Grants, Approvals and Thaws are filled in here")
    spec = (review.object or {}).get("spec")
    if not isinstance(spec, Mapping):
        return ()  # the schema refuses an object without a spec, with a better sentence than ours
    return tuple(
        {"op": "add", "path": f"/spec/{member}", "value": fill(review.user)}
        for member, fill in members.items()
        if spec.get(member) is None
    )
