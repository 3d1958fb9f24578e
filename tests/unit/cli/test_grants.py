"""What people are shown before they answer: everything, and nothing that hides."""

from __future__ import annotations

from typing import Any

import pytest

from doorward.cli.explain import request_of
from doorward.cli.grants import row, visible, whole
from doorward.cli.main import USAGE, main
from doorward.cli.place import Refused

SPEC = {
    "task": {"name": "fix-7", "uid": "u-1"},
    "role": {"name": "bug-fixer", "uid": "u-2"},
    "rule": "merge",
    "connector": "code",
    "action": "pull.merge",
    "resource": {"repository": "acme/web", "number": "7"},
    "digest": "sha256:" + "0" * 64,
    "summary": 'action: pull.merge by connector code\nargument title: "a\\nb"',
    "author": "broker",
    "quorum": 2,
    "expires": "30m",
}


def grant(status: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """A Grant as the API server has it."""
    metadata = {"name": "fix-7-1a2b3c4d", "creationTimestamp": "2026-11-21T10:00:00Z"}
    return {"metadata": metadata, "spec": {**SPEC, **spec}, "status": status or {}}


def test_a_line_says_what_waits_and_how_it_stands() -> None:
    """Before the broker has looked it is pending, and nobody has approved."""
    status = {"phase": "Active", "approvals": 2, "expiresAt": "2026-11-21T10:30:00Z"}
    head = ("fix-7-1a2b3c4d", "fix-7", "pull.merge", "7, acme/web")

    assert row(grant()) == (*head, "Pending", "0 of 2", "")
    assert row(grant(status)) == (*head, "Active", "2 of 2", "2026-11-21T10:30:00Z")


def test_the_whole_has_what_one_decides_by() -> None:
    """Whose it is, the digest that is answered, and the broker's summary line by line, as it wrote it."""
    said = whole(grant()).splitlines()

    assert said[0] == "grant fix-7-1a2b3c4d"
    assert said[1] == "  task       fix-7, in role bug-fixer by rule merge"
    assert f"  digest     {SPEC['digest']}" in said
    assert said[-2:] == ["  | action: pull.merge by connector code", '  | argument title: "a\\nb"']


def test_claims_are_marked() -> None:
    """The words of who asks are quoted, and said to be claims; those of the summary are not repeated."""
    escalation = {"what": "merge", "stopped": "not mine", "evidence": ["it is green"], "decision": "merge?"}
    said = whole(grant(reason="urgent", escalation=escalation, summary="wants: not mine")).splitlines()

    assert said[-4:] == [
        '  claimed, checked by nobody (reason): "urgent"',
        '  claimed, checked by nobody (what): "merge"',
        '  claimed, checked by nobody (evidence): "it is green"',
        '  claimed, checked by nobody (decision): "merge?"',
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, Änderung", "plain, Änderung"),
        ("\x1b[2Jgone", "\\u{1b}[2Jgone"),
        ("a\u202eb", "a\\u{202e}b"),
        ("a\u200bb", "a\\u{200b}b"),
        ("one\ntwo", "one\\ntwo"),
        ('"a\\nb"', '"a\\nb"'),
    ],
)
def test_nothing_hides(text: str, shown: str) -> None:
    """A person's Grant may hold anything; a terminal gets none of it raw."""
    assert visible(text) == shown


def test_a_summary_cannot_end_the_frame() -> None:
    """Carriage returns and other separators do not begin a line of ours."""
    said = whole(grant(summary="a\r\u2028grant other\ngrant third"))

    assert said.splitlines()[-2:] == ["  | a\\r\\u{2028}grant other", "  | grant third"]


def test_an_action_is_named_with_its_connector() -> None:
    """Anything else is said before anything is asked."""
    assert request_of("code/issue.read", {"number": 7}).action == "issue.read"
    for text in ("issue.read", "/issue.read", "code/"):
        with pytest.raises(Refused, match="CONNECTOR/ACTION"):
            request_of(text, {})


@pytest.mark.parametrize("text", ["[]", "{", '{"a":1,"a":2}', "\udcff"])
def test_arguments_with_two_readings_are_none(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As the door reads them."""
    with pytest.raises(SystemExit) as ended:
        main(["explain", "fix-7", "code/issue.read", "--args", text])

    assert ended.value.code == USAGE
    assert "--args" in capsys.readouterr().err
