"""Conditions: what may be said, what it costs, and who is asked on the way."""

from __future__ import annotations

from typing import Any

import pytest

from doorward.policy import evaluate, tree
from doorward.policy.evaluate import Question, UnansweredError, Verdict

KNOWN: dict[str, Any] = {
    "action": "pull.merge",
    "args": {"x": True, "text": "a"},
    "resource": {"head": "abc", "pull": 7},
    "outcomes": [{"rule": "a", "at": 1_800_000_000 - 60}],
    "references": [],
    "usage": {"rules": {"merge": 2}, "effects": {"merge": 2}},
    "approvals": [],
    "task": {"requestedBy": "alice"},
    "now": evaluate.moment(1_800_000_000),
}
YES, NO = True, False
CHECKS = Question("facts.checks", "abc")
HEAD = Question("facts.head", 7)


def answering(**known: Any) -> evaluate.Answer:
    """Answers by the name of the fact."""

    def answer(question: Question) -> Any:
        if question.fact.removeprefix("facts.") not in known:
            raise UnansweredError
        return known[question.fact.removeprefix("facts.")]

    return answer


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("now.getHours() == 8", True),
        ("now.getHours('Europe/Berlin') == 9", True),
        ("now.getDayOfWeek('Europe/Berlin') in [1, 2, 3, 4, 5]", True),
        ("now.getHours('Nowhere/Else') < 24", False),
        ("outcomes.exists(o, o.rule == 'a' && now - timestamp(o.at) < duration('2m'))", True),
        ("outcomes.exists(o, now - timestamp(o.at) < duration('30s'))", False),
        ("usage.rules.merge < 3 && usage.effects['merge'] == 2", True),
        ("usage.rules.unheard < 3", False),
    ],
)
def test_time_and_use(expression: str, expected: bool) -> None:
    """Hours and weekdays in UTC or a named zone, ages, and how often a rule was used."""
    assert expected == evaluate.holds(expression, KNOWN)


@pytest.mark.parametrize(
    ("expression", "answer", "expected"),
    [
        ("facts.checks(resource.head).all(c, c.green)", {}, Verdict(NO, (CHECKS,), (CHECKS,))),
        ("args.x || facts.checks(resource.head).all(c, c.green)", {}, Verdict(YES)),
        ("facts.checks(resource.head).all(c, c.green) || args.x", {}, Verdict(YES, (CHECKS,))),
        ("facts.checks(resource.head).all(c, c.green) && !args.x", {}, Verdict(NO, (CHECKS,))),
        ("facts.checks(resource.head)[0].green", {"checks": [{"green": True}]}, Verdict(YES, (CHECKS,))),
        ("facts.checks(resource.head)[0].green", {"checks": 7}, Verdict(NO, (CHECKS,))),
        ("facts.checks(facts.head(resource.pull)).size() == 1", {}, Verdict(NO, (HEAD,), (HEAD,))),
        (
            "facts.checks(facts.head(resource.pull)).size() == 1",
            {"head": "abc"},
            Verdict(NO, (HEAD, CHECKS), (CHECKS,)),
        ),
        ("facts.checks(resource.nothing).size() == 1", {}, Verdict(NO)),
        ("outcomesOf('reviewer').size() == 0", {"outcomesOf": []}, Verdict(YES)),
        ("outcomesOf('reviewer').size() == 0", {}, Verdict(NO, (), (Question("outcomesOf", "reviewer"),))),
    ],
)
def test_who_is_asked(expression: str, answer: dict[str, Any], expected: Verdict) -> None:
    """Only what is needed is asked, and what has no answer is told as missing only if it decides."""
    assert expected == evaluate.judge(expression, KNOWN, answering(**answer))


def test_answers_are_for_one_evaluation() -> None:
    """Whoever evaluates without answers gets none, also after and inside an evaluation that has them."""
    expression = "facts.head(resource.pull) == 'abc' && facts.checks(resource.head).size() == 1"
    inner: list[bool] = []

    def answer(question: Question) -> Any:
        inner.append(evaluate.holds(expression, KNOWN))
        return "abc" if question == HEAD else [{"green": True}]

    outer = evaluate.holds(expression, KNOWN, answer)

    assert [outer, inner, evaluate.holds(expression, KNOWN)] == [True, [False, False], False]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("outcomesOf(args.role).size() == 1", "write its name"),
        ("outcomesOf(7).size() == 1", "no matching overload"),
        ("facts.checks(7).size() == 1", "no matching overload"),
        ("facts.nothing('x').size() == 1", "undeclared reference"),
        ("facts.checks('x').all(c, c.gren)", "gren of check; known: name, green, state"),
        ("outcomes.exists(o, o.rul == 'x')", "rul of outcome"),
        ("approvals.exists(a, a.name == 'x')", "name of approval"),
        ("references.filter(r, r.kind == 'issue').exists(r, r.nr == '7')", "nr of reference"),
        ("task['requester'] == 'x'", "requester of task"),
        ("usage.tasks.x == 1", "tasks of usage"),
        ("[args.text].map(a, a + a).size() == 1", "uses + inside a loop"),
        ("[1].exists(a, [2].exists(b, [3].exists(c, [4].exists(d, a == d))))", "more than 3 loops"),
        (" && ".join(["args.x"] * 300), "more than 400 parts"),
        ("b'a'", "yields BYTES"),
    ],
)
def test_faults_are_found_before_use(expression: str, message: str) -> None:
    """A misspelt member, a computed role and what could grow without bound are told when it is written."""
    assert message in (evaluate.fault(expression) or "")


def test_a_stage_asks_nobody_upstream() -> None:
    """A stage is about no action, so there is nothing that its condition could ask about."""
    expression = "facts.head(7) == 'abc'"

    assert [
        evaluate.fault(expression),
        "about no action" in (evaluate.fault(expression, stage=True) or ""),
    ] == [None, True]


def test_what_is_read() -> None:
    """Who gathers facts knows before the decision which roles and variables a condition speaks of."""
    expression = (
        "outcomesOf('reviewer').size() > 0 || outcomesOf('tester').size() > 0 && references.size() > 0"
    )

    assert [{"reviewer", "tester"}, True, False, False, set()] == [
        evaluate.roles_read(expression),
        evaluate.reads(expression, "references"),
        evaluate.reads(expression, "approvals", *evaluate.UPSTREAM),
        evaluate.reads("broken (", "references"),
        evaluate.roles_read("broken ("),
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x12",
        b"\x12\x05\x22\x03abc",
        b"\x12\x02\x22\x00",
        b"\x12\x04\x22\x02\x52\x00",
        b"\xff" * 12,
        b"\x13\x00",
    ],
)
def test_unknown_trees_prove_nothing(data: bytes) -> None:
    """Bytes that are cut off, or a form that is not known, are an error and never an empty tree."""
    with pytest.raises(tree.UnreadableError):
        tree.read(data)
