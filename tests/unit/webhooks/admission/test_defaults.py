"""A new task, Grant or Approval names whoever asks, unless it names somebody; nothing else is changed."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from admissionworld import task_document

from doorward.errors import Code, Refusal
from doorward_webhooks.admission import review
from doorward_webhooks.admission.defaults import of_new
from doorward_webhooks.admission.review import Operation, User

ALICE = User("alice", groups=("developers", "system:authenticated"))


def of(ask: Any, spec: Any, **changes: Any) -> Any:
    """A question about a new object with this spec; a task unless said otherwise."""
    document = {**task_document(), "spec": spec}
    base = {"group": "doorward.dev", "resource": "agenttasks", "object": document, "user": ALICE}
    return ask(**(base | changes))


def added(**members: Any) -> tuple[dict[str, Any], ...]:
    """The patch that adds these members."""
    return tuple({"op": "add", "path": f"/spec/{name}", "value": value} for name, value in members.items())


@pytest.mark.parametrize(
    ("resource", "members"),
    [
        ("agenttasks", {"requestedBy": "alice", "createdBy": "alice"}),
        ("grants", {"author": "alice"}),
        ("approvals", {"user": "alice", "groups": ["developers", "system:authenticated"]}),
    ],
)
def test_what_is_left_out_is_whoever_asks(resource: str, members: dict[str, Any], ask: Any) -> None:
    """Names and groups are those that the API server authenticated; null is left out too."""
    nothing = dict.fromkeys(members)

    assert of_new(of(ask, {"role": "x"}, resource=resource)) == added(**members)
    assert of_new(of(ask, nothing, resource=resource)) == added(**members)


@pytest.mark.parametrize(
    ("resource", "spec", "filled"),
    [
        ("agenttasks", {"requestedBy": "bob"}, {"createdBy": "alice"}),
        ("agenttasks", {"requestedBy": "", "createdBy": "bob"}, {}),
        ("grants", {"author": "bob"}, {}),
        ("approvals", {"user": "bob", "groups": []}, {}),
        ("agenttasks", None, {}),
        ("grants", "text", {}),
        ("approvals", [], {}),
    ],
)
def test_everything_else_stays_as_it_was_written(
    resource: str, spec: Any, filled: dict[str, Any], ask: Any
) -> None:
    """Another name is for the policy to judge, and what is no object of ours for the schema."""
    assert of_new(of(ask, spec, resource=resource)) == added(**filled)


@pytest.mark.parametrize(
    "changes",
    [{"operation": Operation.UPDATE}, {"resource": "agentroles"}, {"subresource": "status"}],
    ids=["an update", "another kind", "a subresource"],
)
def test_a_question_about_anything_else_is_refused(changes: dict[str, Any], ask: Any) -> None:
    """A webhook that is configured too widely writes into nothing."""
    with pytest.raises(Refusal) as caught:
        of_new(of(ask, {}, **changes))

    assert caught.value.code is Code.MALFORMED


def test_the_answer_carries_the_patch() -> None:
    """As admission.k8s.io/v1 wants it: base64 of a JSON Patch, named as one."""
    operation = {"op": "add", "path": "/spec/requestedBy", "value": "alice"}
    response = review.allowed("u-1", (operation,))["response"]

    assert json.loads(base64.b64decode(response.pop("patch"))) == [operation]
    assert response == {"uid": "u-1", "allowed": True, "patchType": "JSONPatch"}
