"""Heartbeat, epochs, keys and canaries: what the broker knows about itself."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from town import NAMESPACE, RELEASE, revocation
from waiting import until

from doorward.broker import epochs, heartbeat
from doorward.broker.canaries import Canaries
from doorward.broker.conduct import Conduct
from doorward.broker.epochs import establish, judge, runs
from doorward.broker.excess import Excess
from doorward.broker.facts import Facts, Latch
from doorward.broker.grading import Thresholds
from doorward.broker.heartbeat import Heartbeat
from doorward.broker.informers import Feed
from doorward.broker.keyring import PUBLISHED_SECONDS, RETIRED_SECONDS, KeyRing, _order
from doorward.broker.metrics import Metrics
from doorward.broker.sessions import Sessions
from doorward.broker.settings import CanaryAddress, Settings, canaries
from doorward.core import settings as env
from doorward.core.clock import system
from doorward.door import canary
from doorward.errors import ConfigError, Refusal
from doorward.kube import Change, ChangeType, Client, resources
from doorward.kube.access import Access, Credentials
from doorward.ledger import Epoch, Head, Ledger, revocations

DAY = 86_400


def test_a_mark_counts_from_when_it_was_sent() -> None:
    """Not from when it came back; old marks, and those of other processes, say nothing."""
    now = [0.0]
    beat = Heartbeat(3.0, lambda: now[0])
    first = beat.next_mark()
    now[0] = 2.0
    second = beat.next_mark()
    beat.seen("other/1")

    assert beat.age == float("inf")

    beat.seen(second)
    beat.seen(first)
    now[0] = 5.0
    beat.check()

    assert (beat.age, beat.current) == (3.0, True)

    now[0] = 5.1
    with pytest.raises(Refusal):
        beat.check()
    assert not beat.current


def test_a_fresh_mark_does_not_speak_for_a_broken_watch() -> None:
    """Revocations come on a watch of their own: while that is broken the news is stale, mark or not."""
    beat = Heartbeat(3.0, lambda: 0.0)
    beat.seen(beat.next_mark())
    beat.behind = lambda: 3.0
    beat.check()
    beat.behind = lambda: 3.1

    assert beat.age == 3.1
    with pytest.raises(Refusal):
        beat.check()


def test_an_anchor_survives_its_annotation() -> None:
    """Whatever else stands there is no anchor."""
    head = Head(7, "sha256:x")
    lease = heartbeat.lease("ns", heartbeat.anchor_text("epoch-1", head))
    broken = [None, {}, {"metadata": {"annotations": {heartbeat.LEDGER: "a b"}}}]

    assert heartbeat.anchor_of(lease) == ("epoch-1", head)
    assert [heartbeat.anchor_of(item) for item in broken] == [None] * 3


EPOCH = Epoch(1, "epoch-1", "statement", 0.0, 0.0)
SEEN = ("epoch-1", Head(7, "sha256:x"))


@pytest.mark.parametrize(
    ("epoch", "signed", "anchor", "there", "lived", "cause", "loss"),
    [
        (None, False, None, None, False, "first start", False),
        (None, False, None, None, True, "the ledger was lost", True),
        (None, False, SEEN, None, False, "the ledger was lost", True),
        (EPOCH, True, None, None, True, None, False),
        (EPOCH, True, SEEN, "sha256:x", True, None, False),
        (EPOCH, True, SEEN, "sha256:y", True, "the ledger was set back", True),
        (EPOCH, True, SEEN, None, False, "the ledger was set back", True),
        (EPOCH, True, ("epoch-0", Head()), None, False, "the ledger is another one than the last seen", True),
        (EPOCH, False, SEEN, "sha256:x", False, "the ledger was made with another key", True),
        (EPOCH, False, None, None, False, "the ledger was made with another key", True),
    ],
)
def test_whatever_happened_to_the_ledger_is_noticed(
    epoch: Epoch | None,
    anchor: Any,
    there: str | None,
    cause: str | None,
    *,
    signed: bool,
    lived: bool,
    loss: bool,
) -> None:
    """Lost, swapped, set back or made by somebody else: a new epoch, and what lives freezes."""
    verdict = judge(epoch, signed=signed, anchor=anchor, there=there, lived=lived)

    assert (verdict.cause, verdict.loss) == (cause, loss)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (None, False),
        ({"phase": "Starting"}, False),
        ({"startedAt": "2026-11-01T00:00:00Z"}, True),
        ({"startedAt": "2026-11-01T00:00:00Z", "finishedAt": "2026-11-01T00:01:00Z"}, False),
    ],
)
def test_an_agent_that_runs_had_a_ledger(status: dict[str, Any] | None, *, expected: bool) -> None:
    """Agents start behind an open door, and no door opens without a session."""
    assert runs({"status": status} if status else {}) is expected


async def test_an_epoch_goes_on_until_something_is_lost(tmp_path: Path) -> None:
    """A restart keeps it; an older copy of the file, or another key, does not."""
    keyring = KeyRing(tmp_path / "keys", 30, lambda: 1e9)
    other = KeyRing(tmp_path / "other", 30, lambda: 1e9)
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    try:
        first = await establish(ledger, keyring.checkpoint, "iss", None, 1.0)
        seen = (first.id, await ledger.head())
        again = await establish(ledger, keyring.checkpoint, "iss", seen, 2.0)
        back = await establish(ledger, keyring.checkpoint, "iss", (first.id, Head(99, "sha256:x")), 3.0)
        foreign = await establish(ledger, other.checkpoint, "iss", None, 4.0)
        issuer = await establish(ledger, other.checkpoint, "other", None, 5.0)
    finally:
        ledger.close()

    assert first == again
    assert [item.number for item in (back, foreign, issuer)] == [2, 3, 4]
    assert [item.trusts_after for item in (first, back, foreign)] == [0.0, 3.0, 4.0]
    assert epochs.judge(issuer, signed=True, anchor=None, there=None, lived=True).cause is None


def test_keys_are_made_once_and_kept_to_ourselves(tmp_path: Path) -> None:
    """No default key: the first start makes one, the next finds it, nobody else can read it."""
    first = KeyRing(tmp_path / "keys", 30, lambda: 1e9)
    second = KeyRing(tmp_path / "keys", 30, lambda: 1e9 + 1)
    files = sorted((tmp_path / "keys").iterdir())

    assert first.keys.current_id == second.keys.current_id
    assert first.checkpoint.current_id == second.checkpoint.current_id != first.keys.current_id
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700


def test_keys_overlap_when_they_change(tmp_path: Path) -> None:
    """Published before it signs, verifiable after it has signed last, then gone from the disk."""
    now = [1e9]
    ring = KeyRing(tmp_path, 30, lambda: now[0])
    old = ring.keys.current_id
    now[0] += 30 * DAY
    announced = ring.refresh()
    now[0] += PUBLISHED_SECONDS
    changed = ring.refresh()
    now[0] += RETIRED_SECONDS
    later = ring.refresh()

    assert (announced.current_id, len(announced.public)) == (old, 2)
    assert changed.current_id != old
    assert old in changed.public
    assert old not in later.public
    assert len(list(tmp_path.glob("[0-9]*.pem"))) == 1


def test_the_order_of_keys() -> None:
    """The newest that was published long enough signs; a first one signs at once."""
    assert _order([100], 100) == [100]
    assert _order([100, 1000], 1000 + PUBLISHED_SECONDS - 1) == [100, 1000]
    assert _order([100, 1000], 1000 + PUBLISHED_SECONDS) == [1000, 100]


def test_a_key_that_is_none_stops_the_start(tmp_path: Path) -> None:
    """Better no broker than one with somebody's idea of a key."""
    (tmp_path / "100.pem").write_bytes(b"")
    with pytest.raises(ConfigError):
        KeyRing(tmp_path, 30, lambda: 1000.0)


async def test_a_canary_lives_when_it_answered() -> None:
    """TCP and UDP are tried for real; a silent one is known to be dead, and is not hidden."""
    async with canary.serving("127.0.0.1", 0) as port:
        known = Canaries([CanaryAddress(name, "127.0.0.1", port, name) for name in ("tcp", "udp")])
        before = known.document()
        await known.probe()
        alive = known.document()
    await known.probe()
    known.monotonic = lambda: max(one.answered_at or 0 for one in known.known) + 10.0

    assert before == []
    assert [(one["protocol"], one["host"], one["alive"]) for one in alive] == [  # type: ignore[index,call-overload]
        ("tcp", "127.0.0.1", True),
        ("udp", "127.0.0.1", True),
    ]
    assert [one["alive"] for one in known.document()] == [False, False]  # type: ignore[index,call-overload]


@pytest.mark.parametrize(
    "text", ["a", "a=b", "a=b:1", "a=b:1/icmp", "a=b:0/tcp", "a=b:99999/tcp", "=b:1/tcp"]
)
def test_a_canary_setting_that_is_wrong_is_named(text: str) -> None:
    """The process does not start without the fence's proof that was asked for."""
    with pytest.raises(ConfigError, match="DOORWARD_CANARIES"):
        env.read(Settings, {"DOORWARD_CANARIES": text})


class Parrot(asyncio.DatagramProtocol):
    """Answers every datagram with the same word."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = transport

    def datagram_received(self, _: bytes, addr: tuple[str, int]) -> None:
        """Say the word."""
        self.transport.sendto(b"polly", addr)  # type: ignore[attr-defined]


async def test_a_datagram_counts_only_as_our_own_echo() -> None:
    """Something that talks is not something that heard us."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Parrot, local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    known = Canaries([CanaryAddress("parrot", "127.0.0.1", port, "udp")], timeout=0.1)
    await known.probe()
    transport.close()

    assert known.document() == []


def test_canary_settings() -> None:
    """Names, addresses of both families, none."""
    assert canaries("a=10.0.0.1:1/tcp, b=[fd00::1]:2/udp") == (
        CanaryAddress("a", "10.0.0.1", 1, "tcp"),
        CanaryAddress("b", "fd00::1", 2, "udp"),
    )
    assert canaries("") == ()
    assert len(env.read(Settings, {}).canaries) == 2


@pytest.mark.parametrize(
    "variable", ["DOORWARD_MAX_BODY", "DOORWARD_REQUESTS_PER_SECOND", "DOORWARD_KEY_DAYS"]
)
def test_bounds_cannot_be_switched_off(variable: str) -> None:
    """Zero, less, or no number at all is refused by name."""
    for text in ("0", "-1", "x", "nan"):
        with pytest.raises(ConfigError, match=variable):
            env.read(Settings, {variable: text})


async def test_nothing_waits_behind_what_cannot_be_written(tmp_path: Path) -> None:
    """A Revocation is latched although a consequence before it fails again and again."""
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    nowhere = Client(Access("http://127.0.0.1:1", ssl.create_default_context(), Credentials(None)))
    counted = (Thresholds(), 600.0, 10.0, 1000, Excess(30), Excess(120))
    conduct = Conduct(ledger, Metrics(CollectorRegistry()), system, *counted)
    feed = Feed(nowhere, Facts(RELEASE), Sessions(system), ledger, conduct)
    unwritable = Latch("first", ("everything",), NAMESPACE, "first", "half a pair: \ud800")
    written = Latch("second", ("everything",), NAMESPACE, "second", "because")

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            await feed.work(group)

    def latched() -> list[str]:
        return [link.event for link in ledger.reader.walk() if '"second"' in link.body]

    running = asyncio.create_task(work())
    try:
        feed._follow([unwritable, written])
        await until(latched)
        found = latched()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        ledger.close()

    assert found == ["revocation.latched"]


def test_only_the_own_revocation_carries_marks() -> None:
    """A mark of ours that comes back vouches for the watch it came by; what others carry does not count."""
    beat = Heartbeat(3.0, lambda: 0.0)
    mark = beat.next_mark()
    own = heartbeat.own_revocation(RELEASE)
    beat.on_change(Change(ChangeType.PRESENT, {**revocation(), "status": {"beat": mark}}))
    beat.on_change(Change(ChangeType.PRESENT, own))
    beat.on_change(Change(ChangeType.GONE, {**own, "status": {"beat": mark}}))
    before = beat.age
    beat.on_change(Change(ChangeType.PRESENT, {**own, "status": {"beat": mark}}))

    assert (before, beat.age) == (float("inf"), 0.0)


def test_the_heartbeats_revocation_takes_nothing_back() -> None:
    """It names a task that cannot be: the release namespace is never enrolled. Its news is told once."""
    facts = Facts(RELEASE)
    own = heartbeat.own_revocation(RELEASE)
    own["metadata"]["uid"] = "own"
    first = facts.apply(resources.REVOCATIONS, Change(ChangeType.PRESENT, own))
    again = facts.apply(resources.REVOCATIONS, Change(ChangeType.PRESENT, own))

    assert [item.subjects for item in first if isinstance(item, Latch)] == [
        (revocations.task(RELEASE, heartbeat.NAME),)
    ]
    assert again == []
    assert not facts.is_revoked(NAMESPACE, heartbeat.NAME, "helper")
