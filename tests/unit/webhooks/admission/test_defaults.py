"""A new task names whoever asks, unless it names somebody itself; nothing else is ever changed."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from admissionworld import task_document

from doorward.errors import Code, Refusal
from doorward_webhooks.admission import review
from doorward_webhooks.admission.defaults import of_task
from doorward_webhooks.admission.review import Operation, User

ALICE = User("alice")


def of(ask: Any, spec: Any, **changes: Any) -> Any:
    """A question about a new task with this spec."""
    document = {**task_document(), "spec": spec}
    base = {"group": "doorward.dev", "resource": "agenttasks", "object": document, "user": ALICE}
    return ask(**(base | changes))


@pytest.mark.parametrize("given", [{}, {"requestedBy": None}], ids=["left out", "null"])
def test_a_requester_that_is_left_out_is_whoever_asks(given: dict[str, Any], ask: Any) -> None:
    """The name is the one that the API server authenticated."""
    found = of_task(of(ask, {"role": "bug-fixer", **given}))

    assert found == ({"op": "add", "path": "/spec/requestedBy", "value": "alice"},)


@pytest.mark.parametrize("spec", [{"requestedBy": "bob"}, {"requestedBy": ""}, None, "text", []])
def test_everything_else_stays_as_it_was_written(spec: Any, ask: Any) -> None:
    """Another name is for the policy to judge, and what is no task for the schema."""
    assert of_task(of(ask, spec)) == ()


@pytest.mark.parametrize(
    "changes",
    [{"operation": Operation.UPDATE}, {"resource": "agentroles"}, {"subresource": "status"}],
    ids=["an update", "another kind", "a subresource"],
)
def test_a_question_about_anything_else_is_refused(changes: dict[str, Any], ask: Any) -> None:
    """A webhook that is configured too widely writes into nothing."""
    with pytest.raises(Refusal) as caught:
        of_task(of(ask, {}, **changes))

    assert caught.value.code is Code.MALFORMED


def test_the_answer_carries_the_patch() -> None:
    """As admission.k8s.io/v1 wants it: base64 of a JSON Patch, named as one."""
    operation = {"op": "add", "path": "/spec/requestedBy", "value": "alice"}
    response = review.allowed("u-1", (operation,))["response"]

    assert json.loads(base64.b64decode(response.pop("patch"))) == [operation]
    assert response == {"uid": "u-1", "allowed": True, "patchType": "JSONPatch"}
