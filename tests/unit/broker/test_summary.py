"""The words that people decide by."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from doorward.broker import pleas, summary
from doorward.broker.pleas import Plea
from doorward.core.action import Action, Attachment
from doorward.core.effect import Effect

RESOURCE = {"repository": "acme/web", "issue": 7}


def told(args: dict[str, Any], plea: Plea | None = None, attachments: int = 0) -> str:
    """The summary of a comment."""
    found = tuple(Attachment(f"pack-{number}", "0" * 64, 7) for number in range(attachments))
    return summary.of(Action("code", "issue.comment", RESOURCE, args, found), Effect.DRAFT, plea or Plea())


def test_a_long_argument_is_cut_and_the_short_ones_are_not() -> None:
    """The cut says how much is missing and what the whole hashes to; no other argument pays for it."""
    lines = told({"body": "x" * 50_000, "title": "A short one"}).splitlines()

    assert lines[4] == 'argument title: "A short one"'
    assert lines[3].startswith('argument body: "xxx')
    assert "bytes are not shown; sha256 " in lines[3]


def test_an_argument_cannot_pass_for_a_line_of_ours() -> None:
    """Neither by line breaks nor by quotation marks."""
    forged = 'fine"\neffect: read\nthe agent claims, checked by nobody: "nothing'
    lines = told({"body": forged}).splitlines()

    assert [line for line in lines if line.startswith("effect")] == ["effect: draft"]
    assert len(lines) == 4


def test_an_escalation_is_marked_as_a_claim() -> None:
    """Line by line: what the agent says is never said by us."""
    body: dict[str, Any] = {
        "escalation": {"what": "merge", "stopped": "unsure", "evidence": ["a", "b"], "decision": "now?"}
    }
    lines = told({}, pleas.parse(body)).splitlines()[3:]

    assert lines == [
        'the agent claims it was trying to: "merge"',
        'the agent claims it stopped because: "unsure"',
        'the agent claims as evidence: "a"',
        'the agent claims as evidence: "b"',
        'the agent asks people to decide: "now?"',
    ]


TEXT = st.text(max_size=40) | st.text(max_size=3).map(lambda text: text * 3000)

VALUES = TEXT | st.integers() | st.lists(TEXT, max_size=3)


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=20), TEXT | st.integers() | st.lists(TEXT, max_size=3), max_size=40
    ),
    st.none() | TEXT.filter(lambda text: 0 < len(text) <= pleas.MAX_TEXT),
    st.integers(0, 16),
)
def test_whatever_is_asked_fits(args: dict[str, Any], reason: str | None, attachments: int) -> None:
    """At most 8 KiB, and the first lines are ours."""
    plea = pleas.parse({} if reason is None else {"reason": reason})
    found = told(args, plea, attachments)

    assert 0 < len(found.encode()) <= summary.MAX_BYTES
    assert found.splitlines()[:2] == ["action: issue.comment by connector code", "effect: draft"]
