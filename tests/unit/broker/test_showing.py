"""What people see is what the ledger says, and looking twice writes nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from doorward.api.v1alpha1 import Approval, Grant, GrantPhase
from doorward.broker.showing import WORDS, approval_status, grant_status
from doorward.ledger import Counted, GrantRow

GROUP = "doorward.dev/v1alpha1"
DIGEST = "sha256:" + "0" * 64
GRANT = Grant.parse(
    {
        "apiVersion": GROUP,
        "kind": "Grant",
        "metadata": {"name": "fix-1-0a", "namespace": "agents", "uid": "grant-uid", "generation": 1},
        "spec": {
            "task": {"name": "fix-1", "uid": "task-uid"},
            "role": {"name": "fixer", "uid": "role-uid"},
            "rule": "comment",
            "connector": "code",
            "action": "issue.comment",
            "digest": DIGEST,
            "summary": "A comment.",
        },
    }
)
BOB = Counted("bob", "Approve", (), "approval-uid", 1000.0)
ROW = GrantRow(
    *("agents", "fix-1-0a", "grant-uid", "task-uid", "fix-1", "fixer", "comment", "code", "issue.comment"),
    *(DIGEST, "sha256:p", 2, 1, 600, "broker", "alice", "pending", None),
    *(900.0, 1000.0, 2700.0, None),
    answers=(BOB,),
)


def approval(uid: str = "approval-uid", user: str = "bob") -> Approval:
    """An answer."""
    spec = {"grant": "fix-1-0a", "digest": DIGEST, "decision": "Approve", "user": user}
    metadata = {"name": "a", "namespace": "agents", "uid": uid, "generation": 1}
    return Approval.parse({"apiVersion": GROUP, "kind": "Approval", "metadata": metadata, "spec": spec})


@pytest.mark.parametrize("state", sorted(WORDS))
def test_every_state_is_a_phase_and_only_one_is_ready(state: Any) -> None:
    """The condition Ready is true exactly while the action may happen."""
    status = grant_status(GRANT, replace(ROW, state=state))

    assert status.phase == GrantPhase(state.capitalize())
    assert (status.conditions[0].status == "True") == (state == "active")
    assert {word.capitalize() for word in WORDS} == {phase.value for phase in GrantPhase}


def test_a_status_says_how_many_and_until_when() -> None:
    """In the API's own form of time, from the ledger's clock."""
    status = grant_status(GRANT, ROW)

    assert (status.approvals, status.uses, status.expires_at) == (1, 0, "1970-01-01T00:45:00Z")
    assert status.conditions[0].last_transition_time == "1970-01-01T00:16:40Z"


def test_the_same_row_gives_the_same_status() -> None:
    """What is shown already is not written again."""
    once = grant_status(GRANT, ROW)
    shown = GRANT.model_copy(update={"status": once})

    assert grant_status(shown, ROW) == once


@pytest.mark.parametrize(
    ("found", "row", "expected"),
    [
        pytest.param(approval(), ROW, ("True", "Counted"), id="counted"),
        pytest.param(approval("another"), ROW, ("True", "Counted"), id="counted before"),
        pytest.param(
            approval(),
            replace(ROW, answers=(replace(BOB, refused="reserved", refusal="is by alice"),)),
            ("False", "Reserved"),
            id="refused",
        ),
        pytest.param(
            approval("late", "carol"), replace(ROW, state="expired"), ("False", "GrantExpired"), id="too late"
        ),
        pytest.param(approval("new", "carol"), ROW, None, id="not judged yet"),
    ],
)
def test_an_answer_shows_whether_it_counts(
    found: Approval, row: GrantRow, expected: tuple[str, str] | None
) -> None:
    """With the reason where it does not, and nothing while nothing is known."""
    status = approval_status(found, row)
    told = status and (status.conditions[0].status, status.conditions[0].reason)

    assert told == expected
