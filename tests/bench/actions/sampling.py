"""`sampling.py FILE SCRIPT WORD...` or `sampling.py FILE -m MODULE`: run it, and see where its CPU time goes.

Each few milliseconds of CPU time the stack of the main thread is counted, once its event loop runs. At the
end `FILE` holds the counts as JSON, `{stack: count}`, a stack as `file:function` joined by `;` with the
innermost last. What a C function used counts for its caller, what other threads used for whatever the main
thread waited in.
"""

from __future__ import annotations

import json
import runpy
import signal
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import FrameType
from typing import Final

_INTERVAL: Final = 0.001
"""Seconds of CPU time; the kernel's own ticks may be coarser."""
_LOOP: Final = "asyncio/base_events.py:BaseEventLoop._run_once"
_counts: Counter[tuple[str, ...]] = Counter()


def _sample(_: int, frame: FrameType | None) -> None:
    stack = []
    while frame is not None:
        code = frame.f_code
        stack.append(f"{'/'.join(Path(code.co_filename).parts[-2:])}:{code.co_qualname}")
        frame = frame.f_back
    if _LOOP in stack:
        _counts[tuple(reversed(stack[: stack.index(_LOOP)]))] += 1


def shares(counts: Mapping[str, int], inclusive: bool) -> list[tuple[float, str]]:
    """Share of the samples of each function, the greatest first; its own alone or with what it called."""
    found: Counter[str] = Counter()
    for stack, count in counts.items():
        parts = stack.split(";")
        found.update(dict.fromkeys(set(parts) if inclusive else parts[-1:], count))
    whole = sum(counts.values()) or 1
    return [(count / whole, name) for name, count in found.most_common()]


def told(file: Path, most: int = 25) -> Iterable[str]:
    """What a person reads of one file."""
    counts = json.loads(file.read_text())
    yield f"{file.stem}: {sum(counts.values())} samples; of the whole, with what it called"
    for title, inclusive in (("own", False), ("with calls", True)):
        found = shares(counts, inclusive)[:most]
        yield from (f"  {title:11}{100 * share:5.1f} %  {name}" for share, name in found)


def main(file: str, what: str, *words: str) -> None:
    """Run it under the timer."""
    signal.signal(signal.SIGPROF, _sample)
    signal.setitimer(signal.ITIMER_PROF, _INTERVAL, _INTERVAL)
    try:
        if what == "-m":
            sys.argv = list(words)
            runpy.run_module(words[0], run_name="__main__", alter_sys=True)
        else:
            sys.argv = [what, *words]
            sys.path.insert(0, str(Path(what).parent))
            runpy.run_path(what, run_name="__main__")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        Path(file).write_text(json.dumps({";".join(stack): count for stack, count in _counts.items()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
