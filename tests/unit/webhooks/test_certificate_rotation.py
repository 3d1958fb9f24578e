"""The rotation never leaves a client and a server without a certificate they agree on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from doorward.core import settings as env
from doorward.errors import ConfigError
from doorward_webhooks.certificates.plan import (
    Certificate,
    ForgetPrevious,
    Issue,
    Keyring,
    Leaf,
    Lifetimes,
    MakeActive,
    MakeNext,
    Observed,
    Promote,
    Renew,
    SetBundle,
    Target,
    Write,
    plan,
)
from doorward_webhooks.certificates.settings import Settings

NOW: Final = datetime(2030, 1, 1, tzinfo=UTC)
LIVES: Final = Lifetimes()
BROKER: Final = Target("doorward-system", "doorward-broker")
PLACES: Final = ("config-map", "webhook", "defaults")
LAG: Final = timedelta(hours=24)
"""How old the bundle of a client may be: a task pod keeps the one it was rendered with."""


@dataclass
class World:
    """Objects as a cluster would hold them, with made-up fingerprints instead of keys."""

    now: datetime = NOW
    keyring: Keyring = field(default_factory=Keyring)
    bundles: dict[str, tuple[str, ...]] = field(default_factory=lambda: dict.fromkeys(PLACES, ()))
    leaves: dict[Target, tuple[Leaf | None, tuple[str, ...]]] = field(
        default_factory=lambda: {BROKER: (None, ())}
    )
    made: int = 0

    def observed(self) -> Observed:
        """What the process would read now."""
        return Observed(self.keyring, dict(self.bundles), dict(self.leaves))

    def due(self) -> tuple[Write, ...]:
        """What the process would write now."""
        return plan(self.observed(), self.now, LIVES)

    def apply(self, write: Write) -> None:
        """Carry out one write as the process does."""
        ring = self.keyring
        match write:
            case MakeActive():
                self.keyring = Keyring(active=self._authority())
            case MakeNext():
                self.keyring = replace(ring, next=self._authority(), asked=False)
            case Promote():
                self.keyring = replace(ring, active=ring.next, next=None, previous=ring.active)
            case ForgetPrevious():
                self.keyring = replace(ring, previous=None)
            case SetBundle(place):
                self.bundles[place] = ring.trusted
            case Issue(target):
                assert ring.active is not None
                ends = min(self.now + LIVES.leaf, ring.active.ends)
                self.made += 1
                seen = Certificate(f"leaf-{self.made}", self.now, ends)
                self.leaves[target] = (Leaf(seen, ring.active.fingerprint, target.names), ring.trusted)
            case Renew(target):
                self.leaves[target] = (self.leaves[target][0], ring.trusted)

    def settle(self, after_each: Callable[[], None] = lambda: None) -> None:
        """Write until nothing is due."""
        for _ in range(20):
            due = self.due()
            if not due:
                return
            for write in due:
                self.apply(write)
                after_each()
        pytest.fail(f"still due after twenty rounds: {self.due()}")

    def _authority(self) -> Certificate:
        self.made += 1
        return Certificate(f"authority-{self.made}", self.now, self.now + LIVES.authority)


def test_a_fresh_installation_is_complete_after_two_rounds() -> None:
    """First the authority alone, then everything that hangs on it: pods start seconds after the install."""
    world = World()

    assert world.due() == (MakeActive(),)

    world.apply(MakeActive())

    assert world.due() == (
        SetBundle("config-map"),
        SetBundle("defaults"),
        SetBundle("webhook"),
        Issue(BROKER),
    )

    world.settle()

    assert world.due() == ()


def test_a_leaf_is_renewed_after_two_thirds_of_its_life() -> None:
    """A process that is down for a weekend costs nobody their certificate."""
    world = World()
    world.settle()
    world.now += LIVES.leaf * 2 / 3 - timedelta(seconds=1)

    assert world.due() == ()

    world.now += timedelta(seconds=1)

    assert world.due() == (Issue(BROKER),)


def test_the_next_authority_signs_only_after_everybody_knows_it() -> None:
    """While one bundle lacks it, or the wait is not over, the active authority goes on."""
    world = World()
    world.settle()
    world.now += LIVES.authority * 2 / 3
    world.settle()
    assert world.keyring.next is not None
    old = world.keyring.active
    world.now += LIVES.settle - timedelta(seconds=1)
    world.settle()

    assert world.keyring.active == old

    world.now += timedelta(seconds=1)
    world.bundles["webhook"] = (old.fingerprint if old else "",)

    assert Promote() not in world.due()

    world.settle()

    assert world.keyring.previous == old


def test_the_previous_authority_is_forgotten_last() -> None:
    """It stays trusted until every leaf has been the new authority's for a while."""
    world = World()
    world.settle()
    world.now += LIVES.authority * 2 / 3
    world.settle()
    world.now += LIVES.settle
    world.settle()
    assert world.keyring.previous is not None
    world.now += LIVES.linger - timedelta(seconds=1)

    assert world.due() == ()

    world.now += timedelta(seconds=1)
    world.settle()

    assert world.keyring.previous is None
    assert set(world.bundles.values()) == {world.keyring.trusted}


def test_a_rotation_that_is_asked_for_begins_at_once_and_is_like_any_other() -> None:
    """The next authority is made before the active one is old; it waits as long as ever."""
    world = World()
    world.settle()
    first = world.keyring.active
    world.keyring = replace(world.keyring, asked=True)

    assert world.due() == (MakeNext(),)

    world.settle()
    world.now += LIVES.settle - timedelta(seconds=1)

    assert world.due() == ()

    world.now += timedelta(seconds=1)
    world.settle()

    assert world.keyring.previous == first

    world.now += LIVES.linger
    world.settle()

    assert world.keyring == Keyring(active=world.keyring.active)


def test_asking_during_a_rotation_is_for_the_one_after_it() -> None:
    """While an authority is still being forgotten there is no third one; the question is not lost."""
    world = World()
    world.settle()
    world.keyring = replace(world.keyring, asked=True)
    world.settle()
    world.keyring = replace(world.keyring, asked=True)

    assert world.due() == ()

    world.now += LIVES.settle
    world.settle()

    assert (world.keyring.next, world.keyring.asked) == (None, True)

    world.now += LIVES.linger
    world.settle()

    assert (world.keyring.next is None, world.keyring.asked) == (False, False)


def test_an_authority_from_a_clock_ahead_is_kept() -> None:
    """A pod that moves to a node whose clock is behind must not start the cluster's trust anew."""
    world = World()
    world.settle()
    world.now -= timedelta(minutes=10)

    assert world.due() == ()


def test_an_expired_authority_is_replaced_at_once() -> None:
    """A cluster that was off for a year comes back by itself."""
    world = World()
    world.settle()
    world.now += LIVES.authority
    world.settle()
    leaf, bundle = world.leaves[BROKER]

    assert leaf is not None
    assert world.keyring.active is not None
    assert leaf.issuer == world.keyring.active.fingerprint
    assert leaf.issuer in bundle


@pytest.mark.parametrize(
    "names", [(), ("doorward-broker",), ("other", *BROKER.names[1:])], ids=["none", "few", "wrong"]
)
def test_a_leaf_for_other_names_is_replaced(names: tuple[str, ...]) -> None:
    """Whoever edits the Secret gets the right names back."""
    world = World()
    world.settle()
    leaf, bundle = world.leaves[BROKER]
    assert leaf is not None
    world.leaves[BROKER] = (replace(leaf, names=names), bundle)

    assert world.due() == (Issue(BROKER),)


class Rotations(RuleBasedStateMachine):
    """Crashes between any two writes, connectors that come and go, time that jumps, clients that lag."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.held: list[tuple[datetime, frozenset[str]]] = []
        """Bundles that clients read, and when."""

    @initialize()
    def install(self) -> None:
        """The release is installed and complete."""
        self.world.settle()
        self._read()

    @rule(count=st.integers(0, 6))
    def crash_after(self, count: int) -> None:
        """The process carries out some of the due writes and dies."""
        for write in self.world.due()[:count]:
            self.world.apply(write)
            self._read()

    @rule(hours=st.integers(1, 24))
    def hours_pass(self, hours: int) -> None:
        """Time passes; the process was restarted in time to do its work."""
        self.world.now += timedelta(hours=hours)
        self.world.settle(after_each=self._written)
        self._read()

    @rule(days=st.integers(1, 200))
    def days_pass(self, days: int) -> None:
        """Many days with a working process that looks every eight hours."""
        for _ in range(3 * days):
            self.hours_pass(8)
            self.every_leaf_verifies_against_every_bundle_in_use()

    @rule()
    def somebody_asks(self) -> None:
        """A rotation is asked for, whatever goes on."""
        self.world.keyring = replace(self.world.keyring, asked=True)

    @rule(number=st.integers(0, 3))
    def connector_comes(self, number: int) -> None:
        """A connector's release makes an empty Secret."""
        self.world.leaves.setdefault(Target(f"doorward-{number}", f"doorward-connector-{number}"), (None, ()))

    @rule(number=st.integers(0, 3))
    def connector_goes(self, number: int) -> None:
        """A connector's release is removed."""
        self.world.leaves.pop(Target(f"doorward-{number}", f"doorward-connector-{number}"), None)

    @invariant()
    def every_leaf_verifies_against_every_bundle_in_use(self) -> None:
        """Whoever read a bundle within the lag can talk to each server."""
        issuers = {leaf.issuer for leaf, _ in self.world.leaves.values() if leaf is not None}
        for read, bundle in self.held:
            assert issuers <= bundle, f"a client that read its bundle at {read} is locked out"

    @invariant()
    def no_leaf_has_ended(self) -> None:
        """No server serves an expired certificate while the process runs once a day."""
        ends = [leaf.certificate.ends for leaf, _ in self.world.leaves.values() if leaf is not None]

        assert all(end > self.world.now for end in ends)

    def _written(self) -> None:
        """Between any two writes clients read, and call."""
        self._read()
        self.every_leaf_verifies_against_every_bundle_in_use()

    def _read(self) -> None:
        now = self.world.now
        bundle = frozenset(self.world.bundles["config-map"])
        self.held = [held for held in self.held if held[0] > now - LAG]
        if bundle and (not self.held or self.held[-1][1] != bundle or self.held[-1][0] != now):
            self.held.append((now, bundle))


TestRotations = Rotations.TestCase
TestRotations.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_settings_say_what_the_rotation_does() -> None:
    """The defaults of the process are the lives that the rotation is proved with."""
    assert Settings().lifetimes == LIVES


def test_every_pause_can_be_set() -> None:
    """Also to parts of an hour, for a rotation that has to be over soon."""
    names = ("AUTHORITY", "LEAF", "SETTLE", "LINGER")
    given = {
        f"DOORWARD_{name}_HOURS": str(hours) for name, hours in zip(names, (48, 6, 0.5, 0.25), strict=True)
    }

    assert env.read(Settings, given).lifetimes == Lifetimes(
        authority=timedelta(hours=48),
        leaf=timedelta(hours=6),
        settle=timedelta(minutes=30),
        linger=timedelta(minutes=15),
    )


@pytest.mark.parametrize("text", ["0", "0.009", "-1", "nan", "inf"])
def test_a_life_of_no_time_is_refused(text: str) -> None:
    """Zero hours would be a rotation without end, and so would what is no number of hours."""
    with pytest.raises(ConfigError, match=r"DOORWARD_LEAF_HOURS: must be at least 0\.01"):
        env.read(Settings, {"DOORWARD_LEAF_HOURS": text})
