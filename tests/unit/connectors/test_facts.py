"""What the broker may take from answers, and what must read the same right before the call."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rigs import COMMENT, Rig

from doorward.connectors import forge
from doorward.core import digest
from doorward.core.decision import Principal
from doorward.core.strictjson import Json
from doorward.errors import Code
from doorward.tokens.claims import BROKER

CHECKS = {"owner": "acme", "repo": "web", "commit": "abc1", "limit": 50}
GREEN = [{"name": "ci", "green": True, "state": "success"}]
FACT = {"action": "check.read", "args": CHECKS, "digest": digest.of_json(GREEN)}
BY_BROKER = Principal(BROKER, "fix", "agents", "helper", "alice")


async def act(rig: Rig, action: str, args: dict[str, Any], **permit: Any) -> tuple[int, dict[str, Any]]:
    """Have an action with this permit carried out."""
    body = {"connector": "code", "action": action, "args": args, "attachments": []}
    token = rig.broker.mint(rig.broker.permit("code", action, args, **permit), rig.holder.thumbprint)
    return await rig.post(json.dumps(body).encode(), token)


async def test_facts_are_for_the_broker_alone(rig: Rig) -> None:
    """The broker gets few members in one shape beside the answer; an agent gets the answer."""
    rig.forge.checks = {"ci": "success"}
    _, to_agent = await act(rig, "check.read", CHECKS)
    _, to_broker = await act(rig, "check.read", CHECKS, principal=BY_BROKER)
    _, unknown = await act(rig, "check.read", {**CHECKS, "commit": "nothing"}, principal=BY_BROKER)

    assert ["facts" in to_agent, to_broker["facts"], unknown["facts"]] == [False, GREEN, None]
    assert to_agent["result"] == to_broker["result"]


async def test_what_still_holds_is_carried_out(rig: Rig) -> None:
    """The fact is compared, then the capability is spent, then the action is done."""
    rig.forge.checks = {"ci": "success"}
    status, _ = await act(rig, "issue.comment", COMMENT, caveats={"facts": [FACT]})

    assert (status, [seen.method for seen in rig.forge.seen]) == (200, ["GET", "POST"])


@pytest.mark.parametrize(
    ("fact", "checks"),
    [
        (FACT, {"ci": "failure"}),
        (FACT, {"ci": "success", "more": "success"}),
        (FACT, {}),
        ({**FACT, "args": {**CHECKS, "commit": "nothing"}}, {"ci": "success"}),
        ({**FACT, "args": {**CHECKS, "commit": "../x"}}, {"ci": "success"}),
        ({**FACT, "action": "issue.read"}, {"ci": "success"}),
        ({**FACT, "action": "issue.comment", "args": COMMENT}, {"ci": "success"}),
        ({**FACT, "action": "nothing"}, {"ci": "success"}),
        ({**FACT, "more": 1}, {"ci": "success"}),
    ],
)
async def test_what_changed_stops_the_action(rig: Rig, fact: dict[str, Any], checks: dict[str, str]) -> None:
    """Whatever reads otherwise, or cannot be read, is refused, and the capability stays unspent."""
    rig.forge.checks = checks
    status, problem = await act(rig, "issue.comment", COMMENT, caveats={"facts": [fact]})

    assert (status, problem["code"]) == (Code.CAVEAT_FAILED.status, Code.CAVEAT_FAILED)
    assert ("/v1/redemptions" in rig.broker.paths(), rig.forge.comments) == (False, [])


@pytest.mark.parametrize("value", [[FACT] * 7, {"facts": 1}, "all", 7])
async def test_facts_in_another_shape_are_refused(rig: Rig, value: Json) -> None:
    """A caveat that cannot be read is one that nobody enforces."""
    _, problem = await act(rig, "issue.comment", COMMENT, caveats={"facts": value})

    assert (problem["code"], rig.forge.seen) == (Code.CAVEAT_FAILED, [])


def review(user: str, state: str, **more: Any) -> dict[str, Any]:
    """One review, as a forge gives it."""
    return {"user": {"login": user}, "state": state, "commit_id": "abc1", **more}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ([], []),
        ([review("carol", "APPROVED")], [("carol", True)]),
        ([review("carol", "APPROVED"), review("carol", "REQUEST_CHANGES")], [("carol", False)]),
        ([review("carol", "CHANGES_REQUESTED"), review("carol", "APPROVED")], [("carol", True)]),
        ([review("carol", "APPROVED"), review("carol", "COMMENT")], [("carol", True)]),
        ([review("carol", "APPROVED", dismissed=True)], [("carol", False)]),
        ([review("carol", "APPROVED", stale=True)], [("carol", False)]),
        ([review("carol", "APPROVED"), review("carol", "DISMISSED")], [("carol", False)]),
        ([review("carol", "PENDING"), review("bob", "COMMENTED")], []),
        ([review("dan", "APPROVED"), review("bob", "APPROVED")], [("bob", True), ("dan", True)]),
        ([{"state": "APPROVED"}, "x", {"user": None, "state": "APPROVED"}], []),
        ([review("a", "APPROVED")] * 50, None),
        ({"message": "no"}, None),
        (None, None),
    ],
)
def test_the_last_word_of_each_reviewer_counts(answer: Json, expected: Any) -> None:
    """One person counts once, by what was said last and still stands; a full page may not be all."""
    facts = forge.VERBS["gitea"]["review.read"].facts
    assert facts is not None
    found = facts({"limit": 50}, answer)

    assert expected == (
        [(row["user"], row["approved"]) for row in found] if isinstance(found, list) else found  # type: ignore[index,call-overload]
    )


@pytest.mark.parametrize(
    ("provider", "answer", "expected"),
    [
        ("gitea", {"statuses": None, "total_count": 0}, []),
        ("gitea", {"statuses": [{"context": "b", "status": "success"}], "total_count": 1}, [("b", True)]),
        ("gitea", {"statuses": [{"context": "b", "status": "warning"}], "total_count": 1}, [("b", False)]),
        ("gitea", {"statuses": [{"context": "b", "status": "success"}], "total_count": 2}, None),
        ("gitea", {"statuses": None}, None),
        ("gitea", None, None),
        (
            "github",
            {
                "total_count": 3,
                "check_runs": [
                    {"name": "c", "status": "completed", "conclusion": "success"},
                    {"name": "b", "status": "completed", "conclusion": "skipped"},
                    {"name": "a", "status": "in_progress", "conclusion": None},
                ],
            },
            [("a", False), ("b", False), ("c", True)],
        ),
        ("github", {"total_count": 101, "check_runs": []}, None),
    ],
)
def test_green_is_success_and_nothing_else(provider: str, answer: Json, expected: Any) -> None:
    """Pending, skipped and warning are not green, and a page that is not all is no fact."""
    facts = forge.VERBS[provider]["check.read"].facts
    assert facts is not None
    found = facts({}, answer)

    assert expected == (
        [(row["name"], row["green"]) for row in found] if isinstance(found, list) else found  # type: ignore[index,call-overload]
    )


@pytest.mark.parametrize(
    ("answer", "expected"), [({"head": {"sha": "abc1"}}, "abc1"), ({"head": None}, None), ([], None)]
)
def test_a_head_is_a_commit(answer: Json, expected: str | None) -> None:
    """The commit at the head of a pull request, or nothing."""
    facts = forge.VERBS["gitea"]["pull.read"].facts
    assert facts is not None

    assert facts({}, answer) == expected
