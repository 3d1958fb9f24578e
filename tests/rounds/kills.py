"""`just kill-rounds`: 64 redeemers of one capability, and brokers that are killed while they answer.

In each round one action is permitted, 64 redeemers want its capability at once, and one broker's writer,
a process of its own, is killed with SIGKILL at a random moment: before, among or after the answers. Who
has no answer asks again with the same nonce, as a connector does, whichever broker is there. Whoever is
told yes does the work once and reports it, through the next kill if need be. At the end there must be
exactly one side effect a round, every answer that was given must stand in the ledger, and the chain must
be whole.

This program forks, so it stays one thread: it is run, not imported.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import select
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from books import DOOR, PIN, Book

from devcluster import postgres
from doorward.errors import Refusal
from doorward.ledger import Granted, Ledger

REDEEMERS: Final = 64
_ENOUGH: Final = 400
"""Attempts at one answer after which a round is stuck."""


async def answer(ledger: Ledger, asked: dict[str, Any]) -> dict[str, Any]:
    """What one call of a door or a connector comes to."""
    try:
        match asked["op"]:
            case "permit":
                opened = await ledger.open_session(PIN, DOOR, last_try=True)
                ask = Book.ask(opened.session.id, asked["request"])  # type: ignore[union-attr]
                found = await ledger.permit(ask, Book.permit(), Book.terms_of("epoch-1", 10**9))
                assert isinstance(found, Granted)
                return {"capability": found.capability, "event": found.event}
            case "redeem":
                spent = await ledger.redeem(Book.claim(asked["jti"], nonce=asked["nonce"]), "epoch-1")
                return {"redemption": spent.redemption, "event": spent.event}
            case _:
                told = await ledger.report(Book.report(asked["redemption"]))
                return {"event": told.event}
    except Refusal as refusal:
        return {"refused": refusal.code.value}


async def _serve(url: str, wire: socket.socket) -> None:
    reader, writer = await asyncio.open_connection(sock=wire)
    ledger = await asyncio.to_thread(Ledger, url)

    async def one(line: bytes) -> None:
        asked = json.loads(line)
        said = await answer(ledger, asked)
        writer.write(json.dumps({**said, "id": asked["id"]}).encode() + b"\n")

    async with asyncio.TaskGroup() as group:
        while line := await reader.readline():
            group.create_task(one(line))


class Broker:
    """A writer in a process of its own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.start()

    def start(self) -> None:
        """Fork: everything is imported already, so that a thousand starts are cheap."""
        self.wire, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            self.wire.close()
            try:
                asyncio.run(_serve(self._url, theirs))
            finally:
                os._exit(0)
        theirs.close()
        self._half = b""

    def kill(self) -> None:
        """End it as a failing machine would."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self.wire.close()

    def ask(self, asked: dict[str, Any]) -> None:
        """Send; nobody promises an answer."""
        self.wire.sendall(json.dumps(asked).encode() + b"\n")

    def answers(self) -> list[dict[str, Any]]:
        """What has come."""
        *lines, self._half = (self._half + self.wire.recv(1 << 20)).split(b"\n")
        return [json.loads(line) for line in lines]


@dataclass
class Rounds:
    """All rounds on one ledger."""

    url: str
    brokers: list[Broker]
    dice: random.Random
    kills: int = 0
    effects: dict[str, int] = field(default_factory=dict)
    """Capability -> how often the work was done."""
    told: set[str] = field(default_factory=set)
    """Hashes of events that somebody was answered with."""

    def play(self, number: int) -> None:
        """One round."""
        permitted = self.through({0: {"op": "permit", "request": f"round-{number}"}}, chance=0.2)[0]
        jti = permitted["capability"]
        wishes = {
            place: {"op": "redeem", "jti": jti, "nonce": f"nonce-{place}"} for place in range(REDEEMERS)
        }
        answers = self.through(wishes, chance=1.0)
        winners = [found for found in answers.values() if "redemption" in found]
        self.effects[jti] = len(winners)
        for found in winners:
            self.through({0: {"op": "report", "redemption": found["redemption"]}}, chance=0.2)

    def through(self, asked: dict[int, dict[str, Any]], chance: float) -> dict[int, dict[str, Any]]:
        """Ask until everybody has an answer that counts; one kill on the way, by chance."""
        found: dict[int, dict[str, Any]] = {}
        fatal = self.dice.randrange(len(asked) + 1) if self.dice.random() < chance else None
        for _ in range(_ENOUGH):
            open_ = [place for place in asked if place not in found]
            if not open_:
                return found
            fatal = self._attempt({place: asked[place] for place in open_}, found, fatal)
        sys.exit(f"stuck: {len(asked) - len(found)} without an answer")

    def _attempt(self, asked: dict[int, Any], found: dict[int, Any], fatal: int | None) -> int | None:
        """One try for everybody who waits; `fatal` answers later a broker dies."""
        waiting: dict[Broker, set[int]] = {broker: set() for broker in self.brokers}
        for place, wish in asked.items():
            broker = self.dice.choice(self.brokers)
            broker.ask({**wish, "id": place})
            waiting[broker].add(place)
        while any(waiting.values()):
            if fatal is not None and len(found) >= fatal:
                waiting[self._kill()] = set()
                fatal = None
                continue
            wires = {broker.wire: broker for broker, places in waiting.items() if places}
            ready, _, _ = select.select(list(wires), [], [], 30)
            if not ready:
                sys.exit("stuck: no broker answers")
            for wire in ready:
                self._take(wires[wire], waiting, found)
        return fatal

    def _take(self, broker: Broker, waiting: dict[Broker, set[int]], found: dict[int, Any]) -> None:
        for said in broker.answers():
            waiting[broker].discard(said["id"])
            if said.get("refused") != "unavailable":
                found[said["id"]] = said
                self.told |= {said["event"]} if said.get("event") else set()

    def _kill(self) -> Broker:
        """Some moments later, one of the brokers; what it had said by then was heard."""
        victim = self.dice.choice(self.brokers)
        select.select([], [], [], self.dice.random() * 0.01)
        victim.kill()
        victim.start()
        self.kills += 1
        return victim

    def verdict(self) -> list[str]:
        """What is wrong; nothing if all is well."""
        for broker in self.brokers:
            broker.kill()
        ledger = Ledger(self.url)
        try:
            links = list(ledger.reader.walk())
            broken = ledger.reader.first_break()
        finally:
            ledger.close()
        wrong = [f"{count} side effects of {jti}" for jti, count in self.effects.items() if count != 1]
        lost = self.told - {link.hash for link in links}
        spent = [json.loads(link.body)["capability"] for link in links if link.event == "capability.redeemed"]
        reported = sum(link.event == "outcome.reported" for link in links)
        wrong += [f"{len(lost)} events that were told are lost"] if lost else []
        wrong += ["a capability was redeemed twice"] if sorted(spent) != sorted(self.effects) else []
        wrong += [f"{reported} outcomes"] if reported != len(self.effects) else []
        return wrong + ([f"the chain breaks at event {broken}"] if broken is not None else [])


@contextmanager
def ledgers() -> Iterator[dict[str, tuple[str, int]]]:
    """An empty ledger of each engine, and how many brokers it has."""
    server = postgres.make()
    try:
        with tempfile.TemporaryDirectory() as folder:
            yield {
                "SQLite": (f"sqlite:///{Path(folder) / 'ledger.db'}", 1),
                "PostgreSQL": (server.url(), 2),
            }
    finally:
        server.remove()


def run(name: str, url: str, brokers: int, rounds: int, seed: int) -> list[str]:
    """All rounds of one engine; what is wrong."""
    Ledger(url).close()
    play = Rounds(url, [Broker(url) for _ in range(brokers)], random.Random(seed))  # noqa: S311 - dice
    for number in range(rounds):
        play.play(number)
    wrong = play.verdict()
    sys.stdout.write(
        f"{name}, {brokers} broker{'s' * (brokers > 1)}: {rounds} rounds, {REDEEMERS} redeemers each, "
        f"{play.kills} kills, {sum(play.effects.values())} side effects, "
        f"{len(play.told)} events answered with, seed {seed}: {'; '.join(wrong) or 'all well'}\n"
    )
    sys.stdout.flush()
    return wrong


def main() -> int:
    """Play; 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    arguments = parser.parse_args()
    with ledgers() as found:
        wrong = [
            run(name, url, brokers, arguments.rounds, arguments.seed)
            for name, (url, brokers) in found.items()
        ]
    return 1 if any(wrong) else 0


if __name__ == "__main__":
    sys.exit(main())
