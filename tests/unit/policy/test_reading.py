"""What a decision asks upstream, under which permit, and what of it the connector must compare again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from policyworld import COMMENT, TENANT, ask, comment, context, verb

from doorward.core.decision import Denial, Permit
from doorward.core.effect import Effect
from doorward.errors import Code
from doorward.policy import (
    ActionRequest,
    Context,
    Facts,
    Look,
    Question,
    Reading,
    Unreachable,
    decide,
    look,
    questions,
)

GREEN = Reading(
    [{"name": "ci", "green": True, "state": "success"}], "check.read", {"commit": "abc1"}, "sha256:1"
)
CHECKS = Question("facts.checks", "abc1")
WHEN = "facts.checks('abc1').all(c, c.green)"
MERGE = verb("pull.merge", Effect.MERGE)
ALL = {**TENANT, "effects": [effect.value for effect in Effect]}


def merging(**changes: Any) -> tuple[ActionRequest, Context]:
    """A merge that a check guards: the environment of the small world's merge stands for its head."""
    when = "facts.checks(resource.environment).all(c, c.green) && args.owner != 'nobody'"
    rule = {"name": "merge", "connector": "code", "actions": ["pull.merge"], "when": when, **changes}
    return ask("pull.merge", environment="abc1"), context(rule, tenants=(ALL,))


def read(found: Context, reading: Reading, question: Question = CHECKS) -> Context:
    """The context once this was read."""
    return replace(found, facts=Facts(upstream={question: reading}))


@pytest.mark.parametrize(
    ("changes", "request_", "expected"),
    [
        ({}, comment(), ()),
        ({"when": WHEN}, comment(), (CHECKS,)),
        ({"when": f"{WHEN} || true"}, comment(), ()),
        ({"when": f"false && {WHEN}"}, comment(), ()),
        ({"when": WHEN}, comment(owner="other"), ()),
        ({"when": WHEN}, ask("issue.delete"), ()),
        ({"when": f"approvals.size() > 0 && {WHEN}"}, comment(), (CHECKS,)),
        ({"when": f"{WHEN} && approvals.size() > 0"}, comment(), (CHECKS,)),
        ({"when": f"approvals.size() > 0 && args.owner == 'x' && {WHEN}"}, comment(), ()),
    ],
)
def test_only_what_decides_is_asked(
    changes: dict[str, Any], request_: ActionRequest, expected: tuple[Question, ...]
) -> None:
    """What is denied before its condition, or true without it, asks nobody."""
    assert questions(request_, context({**COMMENT, **changes})) == expected


@pytest.mark.parametrize("how", ["ended", "frozen", "revoked"])
def test_a_stopped_task_asks_nobody(how: str) -> None:
    """Whoever gets nothing causes no look."""
    assert questions(comment(), context({**COMMENT, "when": WHEN}, **{how: True})) == ()


def test_what_was_asked_is_not_asked_again() -> None:
    """Also where the answer did not help."""
    found = read(context({**COMMENT, "when": WHEN}), Reading(None))

    assert questions(comment(), found) == ()


@pytest.mark.parametrize(
    ("reading", "code"),
    [
        (GREEN, None),
        (Reading([{"name": "ci", "green": False, "state": "failure"}]), Code.CONDITION_FALSE),
        (Reading([]), Code.CONDITION_FALSE),
        (Reading(None), Code.CONDITION_FALSE),
        (Reading(Unreachable("no route")), Code.UNAVAILABLE),
    ],
)
def test_what_a_reading_comes_to(reading: Reading, code: Code | None) -> None:
    """Only green permits; a commit without checks is not green; who cannot be asked is unavailable."""
    found = decide(comment(), read(context({**COMMENT, "when": WHEN}), reading))

    assert code == (found.code if isinstance(found, Denial) else None)


def test_no_reviews_are_known_to_be_none() -> None:
    """A pull request without reviews is a fact, and not a missing one."""
    when = "facts.reviews(7).size() == 0"
    found = decide(
        comment(), read(context({**COMMENT, "when": when}), Reading([]), Question("facts.reviews", 7))
    )

    assert isinstance(found, Permit)


def test_a_merge_rests_on_what_it_read() -> None:
    """From merge upwards the permit tells the connector what must read the same; below it does not."""
    request, found = merging()
    permit = decide(request, read(found, GREEN))
    draft = decide(comment(), read(context({**COMMENT, "when": WHEN}), GREEN))

    assert isinstance(permit, Permit)
    assert isinstance(draft, Permit)
    assert [permit.caveats, draft.caveats] == [
        {"facts": [{"action": "check.read", "args": {"commit": "abc1"}, "digest": "sha256:1"}]},
        {},
    ]


def test_a_merge_without_a_green_check_is_no_merge() -> None:
    """The guard is the condition; while nobody has spoken it is not true."""
    request, found = merging()
    denial = decide(request, found)

    assert isinstance(denial, Denial)
    assert (denial.code, questions(request, found)) == (Code.CONDITION_FALSE, (CHECKS,))


def test_the_broker_looks_in_the_repository_of_the_action() -> None:
    """A permit of the broker's own: a read, for exactly this, on behalf of the task."""
    found = context({**COMMENT, "when": WHEN})
    made = look(CHECKS, comment(), found, "broker")

    assert isinstance(made, Look)
    assert (made.permit.effect, made.permit.principal.task_uid, made.permit.principal.task) == (
        Effect.READ,
        "broker",
        "fix",
    )
    assert made.permit.action.resource == {"repository": "acme/web", "commit": "abc1"}
    assert made.permit.action.args == {"owner": "acme", "repo": "web", "commit": "abc1", "limit": 50}


@pytest.mark.parametrize("about", ["", "../x", "a b", "x" * 300])
def test_what_is_no_commit_is_not_looked_for(about: str) -> None:
    """An argument outside the schema of the read action leaves the fact unknown."""
    assert look(Question("facts.checks", about), comment(), context(), "broker") is None


def test_a_connector_that_cannot_read_is_unreachable() -> None:
    """A vocabulary without the action, or in which it does more than read, answers nothing."""
    found = context()
    without = replace(found, actions={**found.actions, "check.read": verb("check.read", Effect.DRAFT)})

    assert isinstance(look(CHECKS, comment(), without, "broker"), Unreachable)
