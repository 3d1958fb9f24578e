"""`just bench-ledger`: durable decisions per second, on both engines, beside what the disk can do.

Each client asks for one decision after the other in a closed loop, in a session of its own, with two
reservations: one of its task and one, the same for all, of its role. In the same run stand two baselines:
a file that is appended to and synced once per record, and the same ledger with one transaction per
request. Passes alternate, the median counts, and an answer that is not a yes ends the run.
Without a target, actions are counted whose capability is redeemed and whose outcome is reported too.
`--fsync` lets the disk take its time, for all of it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Final

import slowdisk
from books import DOOR, PIN, Book
from databases import Databases

from devcluster import postgres
from doorward.core.decision import Reservation
from doorward.ledger import Granted, Ledger
from doorward.ledger.writer import MAX_BATCH

CLIENTS: Final = (1, 16, 64)
KINDS: Final = {"group commit": MAX_BATCH, "one transaction each": 1}
RECORD: Final = b"x" * 1024
Figures = dict[str, list[float]]


def synced(folder: Path, seconds: float) -> float:
    """Records per second of a file that is synced after each."""
    path, written = folder / "records", 0
    with path.open("ab", buffering=0) as file:
        ends = time.perf_counter() + seconds
        while time.perf_counter() < ends:
            file.write(RECORD)
            os.fdatasync(file.fileno())
            written += 1
    path.unlink()
    return written / seconds


async def decisions(url: str, clients: int, seconds: float, max_batch: int, *, spent: bool = False) -> float:
    """Yeses per second of a ledger that was just opened; with `spent`, those redeemed and reported too."""
    ledger = Ledger(url, max_batch=max_batch)
    try:
        counts = await _clients(ledger, clients, seconds, spent=spent)
    finally:
        await asyncio.to_thread(ledger.close)
    return sum(counts) / seconds


async def _clients(ledger: Ledger, clients: int, seconds: float, *, spent: bool) -> list[int]:
    names = [f"{os.urandom(6).hex()}-{number}" for number in range(clients)]
    pins = [replace(PIN, uid=name, pod_uid=name, pod_created_at=time.time()) for name in names]
    opened = await asyncio.gather(*(ledger.open_session(pin, DOOR, last_try=True) for pin in pins))
    ends = time.perf_counter() + seconds
    sessions = [one.session.id for one in opened]  # type: ignore[union-attr]
    return await asyncio.gather(*(_client(ledger, session, ends, spent=spent) for session in sessions))


async def _client(ledger: Ledger, session: str, ends: float, *, spent: bool) -> int:
    terms, answered = Book.terms_of("epoch-1", 10**9), 0
    wish = Book.permit(Reservation(f"task:{session}", 10**9), Reservation("role:hot", 10**9, 1, 60))
    while time.perf_counter() < ends:
        answer = await ledger.permit(Book.ask(session, f"request-{answered}"), wish, terms)
        if not isinstance(answer, Granted):
            sys.exit(f"not a yes: {answer}")
        if spent:
            redeemed = await ledger.redeem(Book.claim(answer.capability), "epoch-1")
            await ledger.report(Book.report(redeemed.redemption))
        answered += 1
    return answered


@contextmanager
def ledgers(folder: Path) -> Iterator[dict[str, str]]:
    """An empty ledger of each engine."""
    with ExitStack() as stack:
        server = postgres.make()
        stack.callback(server.remove)
        if disk := slowdisk.current():
            disk.check(os.getpid())
            disk.check(server.process.pid)  # type: ignore[union-attr]
        (folder / "ledger.db").unlink(missing_ok=True)
        yield {
            "SQLite": f"sqlite:///{folder / 'ledger.db'}",
            "PostgreSQL": stack.enter_context(Databases(server).lend()),
        }


def run(folder: Path, passes: int, seconds: float) -> Figures:
    """Every figure of every pass."""
    found: Figures = {}
    with ledgers(folder) as urls:
        for _ in range(passes):
            found.setdefault("fdatasync per record", []).append(synced(folder, seconds))
            for engine, url in urls.items():
                for clients in CLIENTS:
                    for kind, most in KINDS.items():
                        figure = asyncio.run(decisions(url, clients, seconds, most))
                        found.setdefault(f"{engine}, {kind}, {clients} clients", []).append(figure)
                figure = asyncio.run(decisions(url, CLIENTS[-1], seconds, MAX_BATCH, spent=True))
                found.setdefault(f"{engine}, redeemed and reported too, {CLIENTS[-1]} clients", []).append(
                    figure
                )
    return found


def report(found: Figures) -> list[str]:
    """What a person reads."""
    middle = {name: median(figures) for name, figures in found.items()}
    lines = [f"{name:50} {figure:8.0f}/s" for name, figure in middle.items()]
    for engine in ("SQLite", "PostgreSQL"):
        grouped, single = (
            middle[f"{engine}, {kind}, 64 clients"] for kind in ("group commit", "one transaction each")
        )
        lines.append(
            f"{engine}, 64 clients: {grouped / single:.2f} times one transaction each, "
            f"{grouped / middle['fdatasync per record']:.2f} times one sync per record"
        )
    return lines


def figures(found: Figures) -> dict[str, float]:
    """What has targets."""
    return {
        f"decisions-{engine.lower()}": median(found[f"{engine}, group commit, {CLIENTS[-1]} clients"])
        for engine in ("SQLite", "PostgreSQL")
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--folder", type=Path, help="where the files are; a temporary folder if left out")
    parser.add_argument("--fsync", type=float, default=0.0, help="milliseconds longer for each sync")
    parser.add_argument("--json", type=Path, help="file for every single figure")
    arguments = parser.parse_args()
    if arguments.fsync and slowdisk.current() is None:
        with slowdisk.made(arguments.fsync) as disk:
            return subprocess.run([sys.executable, *disk.words, *sys.argv], check=False).returncode
    where = (platform.platform(), f"Python {platform.python_version()}", f"{os.cpu_count()} cores")
    sys.stdout.write(f"{', '.join(where)}, load {os.getloadavg()[0]:.1f}\n")
    if arguments.fsync:
        sys.stdout.write(f"each sync takes {arguments.fsync:g} ms longer\n")
    with tempfile.TemporaryDirectory() as folder:
        found = run(arguments.folder or Path(folder), arguments.passes, arguments.seconds)
    sys.stdout.write("\n".join([*report(found), ""]))
    if arguments.json:
        arguments.json.write_text(json.dumps({"figures": figures(found), "passes": found}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
