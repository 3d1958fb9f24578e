"""Who can make a condition true: the proof, and reality as its opponent."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from doorward.policy import evaluate
from doorward.policy.evaluate import Question, UnansweredError
from doorward.policy.provenance import Own

EXAMPLES = int(os.environ.get("DOORWARD_EXAMPLES", "150"))
OWN = Own("merger")
ALONE = "nobody but the agent has spoken"
PICKED = "the agent picks"

GUARDS = [
    "facts.checks(resource.head).all(c, c.green)",
    "facts.checks(resource['head']).exists(c, c.name == 'ci' && c.green)",
    "facts.checks(facts.head(resource.pull)).all(c, c.state == 'success')",
    "!facts.checks(resource.head).exists(c, !c.green)",
    "facts.checks(resource.head).exists_one(c, c.green == true)",
    "facts.reviews(resource.pull).exists(r, r.approved && r.user == 'carol')",
    "facts.reviews(resource.pull).filter(r, r.approved).size() >= 2",
    "size(facts.reviews(resource.pull).filter(r, r.approved && r.commit == resource.head)) > 1",
    "outcomesOf('reviewer').exists(o, o.action == 'pull.review' && o.status == 'succeeded')",
    "outcomesOf('reviewer').filter(o, o.status == 'succeeded').map(o, o.task).exists(t, t != task.name)",
    "approvals.size() >= 2",
    "'carol' in approvals.map(a, a.user)",
    "approvals[0].user == 'carol'",
    "args.x == 1 && now.getHours('Europe/Berlin') < 17 && approvals.exists(a, a.user == 'carol')",
    "(args.x == 1 ? approvals : approvals).exists(a, true)",
    "facts.checks(resource.head).exists(c, c.green) ? true : false",
    "facts.checks(resource.head).all(c, c.green) || approvals.size() > 0",
    "[args.x].exists(x, facts.checks(resource.head).all(c, c.green))",
    "false",
]
NO_GUARDS = [
    ("true", ALONE),
    ("task.requestedBy == 'alice'", ALONE),
    ("now.getHours() < 17", ALONE),
    ("args.body == 'x'", ALONE),
    ("outcomes.exists(o, o.rule == 'x' && o.status == 'succeeded')", ALONE),
    ("references.exists(r, r.id == '7')", ALONE),
    ("usage.rules.merge < 3", ALONE),
    ("args.x == 1 || facts.checks(resource.head).all(c, c.green)", ALONE),
    ("facts.checks(resource.head).all(c, c.green) ? true : args.x == 1", ALONE),
    ("facts.checks(resource.head).all(c, c.name != 'ci' || c.green)", ALONE),
    ("facts.checks(resource.head).filter(c, c.name == 'ci').all(c, c.green)", ALONE),
    ("facts.checks(resource.head).exists(c, !c.green)", ALONE),
    ("facts.checks(resource.head).size() > 0", ALONE),
    ("facts.reviews(resource.pull).all(r, r.approved)", ALONE),
    ("!facts.reviews(resource.pull).exists(r, !r.approved)", ALONE),
    ("facts.reviews(resource.pull).exists(r, r.user == 'carol')", ALONE),
    ("facts.reviews(resource.pull).filter(r, r.approved).size() >= 0", ALONE),
    ("facts.head(resource.pull) == resource.head", ALONE),
    ("outcomesOf('reviewer').exists(o, o.action == 'pull.review')", ALONE),
    ("outcomesOf('reviewer').all(o, o.status == 'succeeded')", ALONE),
    ("outcomesOf('merger').exists(o, o.status == 'succeeded')", "its agents' own"),
    ("approvals.all(a, a.user == 'carol')", ALONE),
    ("approvals == []", ALONE),
    ("!('carol' in approvals.map(a, a.user))", ALONE),
    ("facts.checks(args.head).all(c, c.green)", PICKED),
    ("facts.checks('main').all(c, c.green)", PICKED),
    ("facts.checks(facts.head(args.pull)).all(c, c.green)", PICKED),
    ("[{'head': args.head}].exists(resource, facts.checks(resource.head).all(c, c.green))", ALONE),
    ("args.x ? 1 == 1 : approvals.size() > 0", ALONE),
    ("nobody", "undeclared"),
]


@pytest.mark.parametrize("expression", GUARDS)
def test_what_needs_somebody_else(expression: str) -> None:
    """A condition guards when it cannot be true before a check, a review, a person or another role spoke."""
    assert evaluate.guard_fault(expression, OWN) is None


@pytest.mark.parametrize(("expression", "why"), NO_GUARDS)
def test_what_the_agent_can_make_true(expression: str, why: str) -> None:
    """Time, input, the task's own doing, an `||`, an empty list and a subject of its choice guard nothing."""
    assert why in (evaluate.guard_fault(expression, OWN) or "")


def test_what_the_role_writes_itself_is_no_guard() -> None:
    """A role that may review does not guard its merges by reviews."""
    own = Own("merger", frozenset({"facts.reviews"}))
    expression = "facts.reviews(resource.pull).exists(r, r.approved)"

    assert evaluate.guard_fault(expression, own) == "role merger makes reviews itself"


FLAGS = st.sampled_from(
    [
        "args.x",
        "resource.head == 'a'",
        "outcomes.exists(o, o.status == 'succeeded')",
        "outcomes.all(o, o.rule == 'r')",
        "outcomesOf('merger').size() > 0",
        "outcomesOf('reviewer').exists(o, o.status == 'succeeded')",
        "outcomesOf('reviewer').all(o, o.status == 'succeeded')",
        "outcomesOf('reviewer').filter(o, o.status == 'succeeded').size() >= 1",
        "facts.checks(resource.head).all(c, c.green)",
        "facts.checks(resource.head).exists(c, c.state == 'success')",
        "facts.checks(resource.head).filter(c, c.name == 'ci').all(c, c.green)",
        "facts.checks(args.head).all(c, c.green)",
        "facts.reviews(resource.pull).exists(r, r.approved)",
        "facts.reviews(resource.pull).all(r, r.approved)",
        "facts.reviews(resource.pull).exists_one(r, r.approved)",
        "facts.reviews(resource.pull).filter(r, r.approved).size() == 0",
        "approvals.size() > 0",
        "approvals.all(a, a.user == 'carol')",
        "has(args.y)",
        "args.y",
        "args.n / 0 == 1",
        "true",
        "false",
    ]
)
EXPRESSIONS = st.recursive(
    FLAGS,
    lambda inner: st.one_of(
        st.builds("({} && {})".format, inner, inner),
        st.builds("({} || {})".format, inner, inner),
        st.builds("!({})".format, inner),
        st.builds("({} ? {} : {})".format, inner, inner, inner),
        st.builds("({} == {})".format, inner, inner),
        st.builds("({} != {})".format, inner, inner),
        st.builds("[args.x, true].exists(v, v && {})".format, inner),
        st.builds("[args.x].all(v, v || {})".format, inner),
        st.builds("[args.x].filter(v, {}).size() == 0".format, inner),
        st.builds("[args.x].filter(v, {}).size() == 1".format, inner),
        st.builds("outcomes.map(o, {}).exists(v, v)".format, inner),
    ),
    max_leaves=8,
)
SILENT = {
    "outcomesOf": st.lists(
        st.fixed_dictionaries({"status": st.sampled_from(["failed", "unknown"])}), max_size=2
    ),
    "facts.checks": st.one_of(
        st.none(),
        st.lists(
            st.fixed_dictionaries(
                {
                    "green": st.sampled_from([False]),
                    "name": st.sampled_from(["ci", "x"]),
                    "state": st.sampled_from(["failure", "pending"]),
                }
            ),
            min_size=1,
            max_size=2,
        ),
    ),
    "facts.reviews": st.lists(st.fixed_dictionaries({"approved": st.sampled_from([False])}), max_size=2),
}


@given(EXPRESSIONS, st.data())
@settings(max_examples=EXAMPLES)
@example("outcomes.map(o, true).exists(v, v)", None)
def test_the_proof_holds_in_reality(expression: str, data: st.DataObject | None) -> None:
    """Whatever the agent makes: what is called a guard is never true while nobody else has spoken."""
    if not evaluate.rests_on_others(expression, OWN) or data is None:
        return
    agents = {
        "args": data.draw(st.fixed_dictionaries({"x": st.booleans(), "n": st.just(1), "head": st.just("b")})),
        "resource": {"head": data.draw(st.sampled_from(["a", "b"])), "pull": 7},
        "outcomes": data.draw(st.lists(st.just({"status": "succeeded", "rule": "r"}), max_size=2)),
        "approvals": [],
    }
    silence = {name: data.draw(facts) for name, facts in SILENT.items()}

    def answer(question: Question) -> Any:
        found = silence[question.fact]
        if question.about in {"b", "merger"} and question.about != agents["resource"]["head"]:
            return [{"green": True, "status": "succeeded", "name": "ci", "state": "success"}]
        if found is None:
            raise UnansweredError
        return found

    assert not evaluate.holds(expression, agents, answer)
