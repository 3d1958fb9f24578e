"""From counts to grades: a table, and what no sequence of counts may do."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.broker.conduct import Window
from doorward.broker.excess import Excess
from doorward.broker.grading import Counts, Standing, Steps, Thresholds, follow, judge
from doorward.broker.settings import Settings
from doorward.core import settings as env
from doorward.core.grade import Cause, Grade
from doorward.errors import ConfigError

STEPS = Thresholds()
NUMBERS = st.integers(0, 20_000)
COUNTS = st.builds(Counts, NUMBERS, NUMBERS, NUMBERS, NUMBERS)


@pytest.mark.parametrize(
    ("counts", "grade", "cause"),
    [
        (Counts(), Grade.CALM, None),
        (Counts(denials=59, denied=999, bursts=299), Grade.CALM, None),
        (Counts(denials=60), Grade.SLOW, Cause.DENIALS),
        (Counts(denials=300), Grade.CAUTIOUS, Cause.DENIALS),
        (Counts(denials=10_000), Grade.CAUTIOUS, Cause.DENIALS),
        (Counts(denied=1000), Grade.FROZEN, Cause.DENIALS),
        (Counts(bursts=300), Grade.SLOW, Cause.BURSTS),
        (Counts(bursts=1500, replays=1), Grade.CAUTIOUS, Cause.BURSTS),
        (Counts(bursts=5000), Grade.FROZEN, Cause.BURSTS),
        (Counts(replays=1), Grade.SLOW, Cause.REPLAYS),
        (Counts(replays=3, bursts=1500), Grade.CAUTIOUS, Cause.REPLAYS),
        (Counts(replays=10, denials=300), Grade.FROZEN, Cause.REPLAYS),
    ],
)
def test_what_counts_lead_to(counts: Counts, grade: Grade, cause: Cause | None) -> None:
    """The gravest of everything, with its own name."""
    found = judge(counts, STEPS)

    assert (found.grade, found.cause) == (grade, cause)
    assert bool(found.story) == bool(grade)


@given(COUNTS, COUNTS)
def test_more_misbehaviour_never_lowers_the_grade(counts: Counts, more: Counts) -> None:
    """Whatever is added to whatever."""
    added = Counts(
        counts.denials + more.denials,
        counts.denied + more.denied,
        counts.bursts + more.bursts,
        counts.replays + more.replays,
    )

    assert judge(added, STEPS).grade >= judge(counts, STEPS).grade


LOOKS = st.lists(st.tuples(COUNTS, st.floats(0, 500)), max_size=12)


@given(LOOKS)
def test_only_time_lowers_a_grade_and_nothing_thaws_by_itself(looks: list[tuple[Counts, float]]) -> None:
    """A grade goes down only when nothing asked for it for the whole hold; frozen stays whatever comes."""
    standing, now, asked = Standing(), 1000.0, dict.fromkeys(Grade, 0.0)
    for counts, pause in looks:
        now += pause
        judged = judge(counts, STEPS)
        asked |= {grade: now for grade in Grade if grade <= judged.grade}
        after = follow(standing, judged, now, 600.0)

        assert after.grade >= judged.grade or standing.grade is Grade.FROZEN
        if after.grade < standing.grade:
            assert standing.grade is not Grade.FROZEN
            assert now - asked[standing.grade] >= 600.0
        standing = after


def test_time_takes_the_middle_grades_back() -> None:
    """Slow and cautious end by themselves, one look at a time."""
    cautious = follow(Standing(), judge(Counts(replays=3), STEPS), 0.0, 600.0)
    early = follow(cautious, judge(Counts(), STEPS), 599.0, 600.0)
    lower = follow(cautious, judge(Counts(replays=1), STEPS), 600.0, 600.0)
    calm = follow(lower, judge(Counts(), STEPS), 1200.0, 600.0)

    assert [item.grade for item in (early, lower, calm)] == [Grade.CAUTIOUS, Grade.SLOW, Grade.CALM]


@given(st.lists(st.floats(0, 300), max_size=60))
def test_a_window_forgets_nothing_that_is_within_it(pauses: list[float]) -> None:
    """And at most a twelfth too much."""
    window, now, times = Window(60.0), 0.0, list[float]()
    for pause in pauses:
        now += pause
        window.add(now)
        times.append(now)
    exact = sum(now - at < 60.0 for at in times)
    wider = sum(now - at <= 66.0 for at in times)

    assert exact <= window.total(now) <= wider


EVENTS = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from(["no_rule", "replayed"]), st.floats(0, 40))
)


@given(EVENTS, st.integers(1, 5))
def test_a_flood_is_bounded_and_nothing_of_it_goes_untold(
    events: list[tuple[str, str, float]], most: int
) -> None:
    """What is written one by one and what is summed is everything, and of the former there are few."""
    excess, now, written, summed = Excess(most), 0.0, list[tuple[str, float]](), 0
    for key, code, pause in events:
        now += pause
        if excess.full(key, now):
            excess.count(key, code, now)
        else:
            excess.wrote(key, now)
            written.append((key, now))
        summed += sum(found.count for found in excess.due(now))
    summed += sum(found.count for found in excess.due(now, everything=True))

    assert len(written) + summed == len(events)
    assert excess.due(now, everything=True) == []
    for key, at in written:
        assert sum(other == key and at <= then < at + 60.0 for other, then in written) <= 2 * most


@pytest.mark.parametrize("text", ["", "1", "3,2", "1,2,3,4", "0,1", "a,b", "1,2,-3"])
def test_steps_rise(text: str) -> None:
    """A freeze before a warning is a mistake, and named as one."""
    with pytest.raises(ConfigError, match="DOORWARD_REPLAY_STEPS"):
        env.read(Settings, {"DOORWARD_REPLAY_STEPS": text})

    assert env.read(Settings, {"DOORWARD_REPLAY_STEPS": "1,2"}).replay_steps == Steps(1, 2)
    assert str(replace(Steps(1, 2), frozen=3)) == "1,2,3"
