"""From what was counted of a task to how it is treated. Pure, and without mercy for more of the same.

Theft of a session and a breach of the fence are not counted here: one of either freezes at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from doorward.core.grade import Cause, Grade

NEVER: Final = 2**63
"""A step that nobody reaches."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What a task did."""

    denials: int = 0
    """Noes of the last minute."""
    denied: int = 0
    """Noes in all, since it began or was thawed."""
    bursts: int = 0
    """Calls of the last minute that came too fast to be looked at."""
    replays: int = 0
    """Spent capabilities that were presented again, in the last hour."""


@dataclass(frozen=True, slots=True)
class Steps:
    """From which count on a grade is reached; each step is at most the next one."""

    slow: int
    cautious: int
    frozen: int = NEVER

    def __str__(self) -> str:
        return ",".join(str(step) for step in (self.slow, self.cautious, self.frozen) if step != NEVER)

    def grade(self, count: int) -> Grade:
        """The highest grade that this count reaches."""
        rising = zip((self.frozen, self.cautious, self.slow), reversed(Grade), strict=False)
        return next((grade for step, grade in rising if count >= step), Grade.CALM)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The steps of everything that is counted."""

    denials: Steps = Steps(60, 300)
    denied: Steps = Steps(NEVER, NEVER, 1000)
    bursts: Steps = Steps(300, 1500, 5000)
    replays: Steps = Steps(1, 3, 10)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a task is treated, and why."""

    grade: Grade = Grade.CALM
    cause: Cause | None = None
    story: str = ""
    until: float = 0.0
    """When time takes it back, in seconds since the epoch; without meaning for calm and frozen tasks."""


def judge(counts: Counts, thresholds: Thresholds) -> Standing:
    """The grade that the counts ask for by themselves, and the gravest of them as its story."""
    found = [
        (thresholds.replays, counts.replays, Cause.REPLAYS, "spent capabilities came again within an hour"),
        (thresholds.denied, counts.denied, Cause.DENIALS, "denials in all"),
        (thresholds.denials, counts.denials, Cause.DENIALS, "denials within a minute"),
        (thresholds.bursts, counts.bursts, Cause.BURSTS, "calls within a minute came too fast"),
    ]
    steps, count, cause, told = max(found, key=lambda row: row[0].grade(row[1]))
    grade = steps.grade(count)
    return Standing(grade, cause, f"{count} {told}") if grade else Standing()


def follow(before: Standing, judged: Standing, now: float, hold_seconds: float) -> Standing:
    """The standing after a look at the counts.

    Up at once, and down only when nothing asked for the present grade for `hold_seconds`. Frozen stays.
    """
    if before.grade is Grade.FROZEN:
        return before
    if judged.grade > before.grade:
        return replace(judged, until=now + hold_seconds)
    if judged.grade and judged.grade == before.grade:
        return replace(before, until=max(before.until, now + hold_seconds))
    if now < before.until:
        return before
    return replace(judged, until=now + hold_seconds) if judged.grade else Standing()
