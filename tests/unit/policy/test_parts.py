"""The parts of the policy: selectors, conditions, schemas, counters."""

from __future__ import annotations

from typing import Any

import pytest

from doorward.api.v1alpha1 import LabelSelector
from doorward.policy import evaluate, reach, schemas

KNOWN: dict[str, Any] = {
    "action": "issue.comment",
    "args": {"body": "Seen."},
    "resource": {"issue": 7},
    "outcomes": [],
    "task": {"requestedBy": "alice", "input": {"big": 10**30}},
    "now": evaluate.moment(1_800_000_000),
}


@pytest.mark.parametrize(
    ("operator", "values", "present", "absent"),
    [
        ("In", ["a", "b"], True, False),
        ("In", ["b"], False, False),
        ("NotIn", ["a"], False, True),
        ("NotIn", ["b"], True, True),
        ("Exists", [], True, False),
        ("DoesNotExist", [], False, True),
    ],
)
def test_requirements(operator: str, values: list[str], present: bool, absent: bool) -> None:
    """The operators mean what they mean to Kubernetes, also where the label is missing."""
    requirement = {"key": "team", "operator": operator, "values": values}
    selector = LabelSelector.model_validate({"matchExpressions": [requirement]})

    assert [present, absent] == [reach.selects(selector, {"team": "a"}), reach.selects(selector, {})]


def test_all_requirements_must_hold() -> None:
    """Labels and expressions are joined by and."""
    selector = LabelSelector.model_validate(
        {"matchLabels": {"team": "a"}, "matchExpressions": [{"key": "tier", "operator": "Exists"}]}
    )

    assert [
        reach.selects(selector, {"team": "a"}),
        reach.selects(selector, {"team": "a", "tier": ""}),
    ] == [False, True]


def test_an_empty_selector_selects_nothing() -> None:
    """Unlike in Kubernetes, no requirement means nobody: a forgotten selector opens nothing."""
    assert not reach.selects(LabelSelector(), {"team": "a"})


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("true", True),
        ("resource.issue == 7", True),
        ("resource.issue == 8", False),
        ("resource.nothing == 7", False),
        ("!resource.nothing", False),
        ("resource.issue / 0 == 1", False),
        ("1", False),
        ("'true'", False),
        ("args", False),
        ("unknown", False),
        ("1 +", False),
        ("[1,2,3].all(a, range(a))", False),
        ("task.requestedBy == 'alice' && now > timestamp('2020-01-01T00:00:00Z')", True),
    ],
)
def test_only_true_is_true(expression: str, expected: bool) -> None:
    """A condition holds when it yields the boolean true; an error, a text and a number are no."""
    known = {**KNOWN, "task": {"requestedBy": "alice"}}

    assert expected == evaluate.holds(expression, known)


def test_what_cannot_be_given_does_not_hold() -> None:
    """A value that the language cannot hold makes every condition about it false, not an error."""
    assert not evaluate.holds("task.input.big > 0", KNOWN)


def test_a_condition_that_never_ends_does_not_hold() -> None:
    """The budget of steps ends in a no."""
    many = {**KNOWN, "task": {}, "outcomes": [{"rule": "a"}] * 400}

    assert not evaluate.holds("outcomes.all(a, outcomes.all(b, outcomes.all(c, true)))", many)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("nobody == 1", "nobody"),
        ("1 +", "Syntax error"),
        ("action", "yields STRING"),
        ("'a' == 1", "overload"),
    ],
)
def test_faults_are_found_before_use(expression: str, message: str) -> None:
    """What cannot be a condition is told when it is written."""
    assert message in (evaluate.fault(expression) or "")


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"$ref": "https://other.example/x"}, "keyword '$ref'"),
        ({"properties": {"a": {"format": "uri"}}}, "keyword 'format'"),
        ({"items": {"anyOf": []}}, "keyword 'anyOf'"),
        ({"additionalProperties": {"not": {}}}, "keyword 'not'"),
        ({"properties": {"a": 7}}, "in place of a schema"),
        ({"properties": []}, "no object"),
        ({"properties": {"a": {"pattern": "(?=a)"}}}, "not a"),
        ({"properties": {"a": {"pattern": "((a{1000}){1000}){1000}"}}}, "not a"),
        ({"properties": {"a": {"type": "text"}}}, "not valid under"),
    ],
)
def test_schemas_that_cannot_be_used(schema: dict[str, Any], message: str) -> None:
    """References, combinators and patterns that could take long are refused, and refuse everything."""
    assert message in (schemas.fault(schema) or "")
    assert schemas.violation(schema, {"a": "a"}) is not None


def test_a_schema_narrows() -> None:
    """What the schema says counts, and the answer names the place without showing the value."""
    schema = {"properties": {"body": {"maxLength": 3, "pattern": "^[a-z]+$"}}}

    assert schemas.violation(schema, {"body": "abc"}) is None
    assert schemas.violation({}, {"body": 7}) is None
    assert "arguments.body" in (schemas.violation(schema, {"body": "secret text"}) or "")
    assert "secret text" not in (schemas.violation(schema, {"body": "secret text"}) or "")
