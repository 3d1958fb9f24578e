"""Events hold each other: none can be changed, left out, added or moved without it being seen."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from doorward.ledger.chain import Head, Link, first_break, link
from doorward.telemetry.events import Event

FACTS = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=5),
    st.one_of(st.text(max_size=5), st.integers(-9, 9)),
    max_size=3,
)


def chain(facts: list[dict[str, object]]) -> list[Link]:
    head, links = Head(), []
    for number, item in enumerate(facts):
        links.append(link(head, Event.TASK_PINNED, 1000.0 + number, f"task-{number % 2}", item))
        head = Head(links[-1].seq, links[-1].hash)
    return links


@given(st.lists(FACTS, max_size=6))
def test_a_chain_as_written_holds(facts: list[dict[str, object]]) -> None:
    """Also from any event of it on."""
    links = chain(facts)

    assert first_break(links) is None
    for number, found in enumerate(links):
        assert first_break(links[number + 1 :], Head(found.seq, found.hash)) is None


@given(st.lists(FACTS, min_size=2, max_size=6), st.data())
def test_every_change_is_seen(facts: list[dict[str, object]], data: st.DataObject) -> None:
    """Columns beside the body cannot lie about it either."""
    links = chain(facts)
    at = data.draw(st.integers(0, len(links) - 2))
    found = links[at]
    body = {**json.loads(found.body), "extra": 1}
    forged = data.draw(
        st.sampled_from(
            [
                replace(found, at=found.at + 1),
                replace(found, event="task.ended"),
                replace(found, task_uid="other"),
                replace(found, body=found.body + " "),
                replace(found, body=json.dumps(body)),
                replace(found, hash="sha256:" + "1" * 64),
                link(Head(found.seq - 1, "sha256:" + "2" * 64), Event.TASK_PINNED, 1.0, None, {}),
            ]
        )
    )

    assert first_break([*links[:at], forged, *links[at + 1 :]]) is not None
    assert first_break([*links[:at], *links[at + 1 :]]) is not None
    assert first_break([*links[:at], links[at + 1], found, *links[at + 2 :]]) is not None
    assert first_break([*links[: at + 1], found, *links[at + 1 :]]) is not None
