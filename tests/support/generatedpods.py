"""Pods that nobody wrote: several attacks in one, and changes in any place, the same ones in every run."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import admissionfuzz
import podattacks


def generated(clean: dict[str, Any], count: int, seed: int = 7) -> Iterator[dict[str, Any]]:
    """Every other pod is made of up to three attacks, the rest of up to three changes to its spec."""
    chance = random.Random(seed)  # noqa: S311 - the same pods in every run
    cases = podattacks.cases()
    for number in range(count):
        times = chance.randint(0, 3)
        if number % 2:
            spec = admissionfuzz.changed(clean["spec"], chance.randrange, times)
            yield {**clean, "spec": spec}
        else:
            pod = clean
            for case in chance.sample(cases, times):
                pod = _with(case, pod)
            yield pod


def _with(case: podattacks.Case, pod: dict[str, Any]) -> dict[str, Any]:
    """One more attack; what needs something that another one took away changes nothing."""
    try:
        return case.applied(pod)[0]
    except (KeyError, IndexError, TypeError, AttributeError, ValueError):
        return pod
