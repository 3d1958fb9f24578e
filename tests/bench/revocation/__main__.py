"""`just bench-revocation`: how long after the write of a Revocation something of it is still redeemed.

A real API server, a broker in a process of its own, a connector that redeems one capability after the
other. In the midst of that a Revocation is written. Counted is from when the write was sent to when the
last redemption that succeeded was answered, each kind of Revocation several times, alone and while other
tasks act. A redemption after the first refusal ends the run: what is revoked stays revoked.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import sys
import tempfile
import time
import uuid
from math import ceil
from pathlib import Path
from typing import Any, Final

import town
from attempts import ARGS, prove
from stage import World, world

from doorward.errors import Refusal
from doorward.kube import resources

KINDS: Final = ("task", "role", "capability", "namespace", "everything")
CAPABILITIES: Final = 64
"""Per trial, and as many as one Revocation can name."""
BEFORE: Final = 8
"""Redemptions before the Revocation is written."""


async def trial(made: World, kind: str) -> float:
    """Seconds from the write's beginning to the answer of the last redemption that succeeded."""
    namespace = f"agents-{uuid.uuid4().hex[:10]}"
    door = await made.task(namespace)
    decided = [await door.decide("code", "issue.comment", ARGS) for _ in range(CAPABILITIES)]
    tokens = [one.capability for one in decided]
    for token in tokens[:BEFORE]:
        assert await made.redeem(token) == ""
    body = town.revocation(home=namespace, **spec_of(kind, namespace, tokens))
    began = time.monotonic()
    writing = asyncio.ensure_future(made.create(resources.REVOCATIONS, body, namespace))
    last, over = began, False
    for token in tokens[BEFORE:]:
        code = await made.redeem(token)
        if code:
            assert code == "revoked", code
            over = True
        else:
            assert not over, "redeemed after a refusal"
            last = time.monotonic()
    await writing
    assert over, "the capabilities did not last until the Revocation was heard of"
    return last - began


def spec_of(kind: str, namespace: str, tokens: list[str]) -> dict[str, Any]:
    """What the Revocation of a kind says."""
    return {
        "task": {"tasks": ["fix-1"]},
        "role": {"roles": ["helper"]},
        "capability": {"capabilities": [jti_of(token) for token in tokens]},
        "namespace": {"namespaces": [namespace]},
        "everything": {"everything": True},
    }[kind]


def jti_of(token: str) -> str:
    """The id in a capability, unread by anybody else here."""
    payload = token.split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["jti"])


async def acting(made: World, done: list[int]) -> None:
    """Another task that acts for ever."""
    door = await made.task(f"others-{uuid.uuid4().hex[:10]}")
    while True:
        try:
            decision = await door.decide("code", "issue.comment", ARGS)
        except Refusal:
            await prove(door)  # a report of the fence counts for 90 seconds
        else:
            done[0] += await made.redeem(decision.capability) == ""


def told(name: str, seconds: list[float]) -> None:
    """One line of the table, in milliseconds."""
    numbers = (percentile(seconds, 50), percentile(seconds, 99), max(seconds))
    sys.stdout.write(
        f"{name:<24}" + "".join(f"{1000 * number:>10.1f}" for number in numbers) + f"{len(seconds):>8}\n"
    )
    sys.stdout.flush()


async def measured(made: World, trials: int, others: int) -> dict[str, list[float]]:
    """Seconds of every kind in turn, while `others` tasks act."""
    done = [0]
    async with asyncio.TaskGroup() as group:
        busy = [group.create_task(acting(made, done)) for _ in range(others)]
        began, found = time.monotonic(), dict[str, list[float]]()
        for kind in [kind for _ in range(trials) for kind in KINDS]:
            found.setdefault(kind, []).append(await trial(made, kind))
        for kind, seconds in found.items():
            told(kind, seconds)
        told("all", [one for seconds in found.values() for one in seconds])
        rate = done[0] / (time.monotonic() - began)
        for one in busy:
            one.cancel()
    sys.stdout.write(f"meanwhile {rate:.0f} actions/s of {others} other tasks\n\n")
    return found


def figures(seconds: list[float]) -> dict[str, float]:
    """What has targets, in milliseconds."""
    return {"revocation-p99": 1000 * percentile(seconds, 99), "revocation-max": 1000 * max(seconds)}


def percentile(seconds: list[float], percent: int) -> float:
    """The nearest rank: a value that was measured, also where there is only one."""
    return sorted(seconds)[max(0, ceil(len(seconds) * percent / 100) - 1)]


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=20, help="of each kind and pass")
    parser.add_argument("--others", type=int, default=8, help="tasks that act in the second pass")
    parser.add_argument("--json", type=Path, help="file for every single figure")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        async with world(Path(folder)) as made:
            sys.stdout.write(f"{'ms after the write':<24}{'p50':>10}{'p99':>10}{'max':>10}{'n':>8}\n")
            alone = await measured(made, arguments.trials, 0)
            among = await measured(made, arguments.trials, arguments.others)
    if arguments.json:
        every = [one for found in (alone, among) for seconds in found.values() for one in seconds]
        document = {"figures": figures(every), "alone": alone, "among others": among}
        arguments.json.write_text(json.dumps(document, indent=1))


if __name__ == "__main__":
    asyncio.run(main())
