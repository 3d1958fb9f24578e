"""Waiting for a condition with a deadline, instead of sleeping and hoping."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T | None], what: str, seconds: float = 120.0, every: float = 0.1) -> T:
    """Call `condition` until its answer is truthy and return that answer.

    Exceptions of the kinds that "not yet" causes (`OSError`, `RuntimeError`) count as no.

    Raises:
        TimeoutError: After `seconds`, saying `what` was awaited and what the last attempt raised.

    """
    deadline = time.monotonic() + seconds
    last: Exception | None = None
    while True:
        try:
            if answer := condition():
                return answer
        except (OSError, RuntimeError) as error:
            last = error
        if time.monotonic() >= deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s" + (f" ({last})" if last else ""))
        time.sleep(every)
