"""`python -m doorward.broker.evidence`: the ledger's events as JSON lines, read beside the running broker.

Reads and never writes: it opens no session and asks nobody. `--task UID` prints one task's events,
`--verify` prints `ok` or the number of the first event that does not follow from the one before.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

from doorward.broker.settings import Settings
from doorward.core import settings
from doorward.ledger import Link, store
from doorward.ledger.queries import Reader


def main() -> int:
    """Print what was asked for; 1 if the chain is broken."""
    arguments = _parser().parse_args()
    reader = Reader(store.engine(settings.read(Settings, os.environ).ledger))
    if arguments.verify:
        broken = reader.first_break()
        sys.stdout.write(
            "ok\n" if broken is None else f"event {broken} does not follow from the one before\n"
        )
        return 0 if broken is None else 1
    for link in _events(reader, arguments.task):
        sys.stdout.write(json.dumps(entry(link), sort_keys=True) + "\n")
    return 0


def entry(link: Link) -> dict[str, Any]:
    """An event with the hash it is known by."""
    return {**json.loads(link.body), "hash": link.hash}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m doorward.broker.evidence", description=__doc__)
    parser.add_argument("--task", metavar="UID", help="only the events of the task with this UID")
    parser.add_argument("--verify", action="store_true", help="check the chain instead of printing it")
    return parser


def _events(reader: Reader, task: str | None) -> Iterator[Link]:
    after = 0
    while page := reader.events(task, after=after):
        yield from page
        after = page[-1].seq


if __name__ == "__main__":
    sys.exit(main())
