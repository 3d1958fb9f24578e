"""Rotation as a pure function of what is there: `plan(observed, now) -> writes`.

    no authority      -> make one                      (nothing may use what is not stored)
    authority is old, or somebody asked -> make the next one (it signs nothing yet)
    next is there     -> every bundle gets it          (whoever verifies learns it first)
    read back everywhere, and long enough ago          -> the next one becomes the active one
    a leaf is not the active authority's, or old, or for other names -> issue it anew
    all leaves are the active one's, and long enough   -> forget the previous one

Every step is one write to one object, and the next step follows from reading alone: a crash between any two
of them, or two processes at once, changes nothing but the time it takes. At each moment every leaf verifies
against every bundle that a client may still hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

Fingerprint: TypeAlias = str
"""Hexadecimal SHA-256 of a certificate."""


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long things last."""

    authority: timedelta = timedelta(days=365)
    leaf: timedelta = timedelta(days=7)
    settle: timedelta = timedelta(hours=25)
    """From making the next authority to using it. Task pods carry the bundle that they were rendered with, so
    this is longer than the longest deadline of a task; it also covers kubelets that refresh mounts late."""
    linger: timedelta = timedelta(hours=1)
    """From the last leaf of the active authority to forgetting the previous one."""


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """A service of ours and the Secret `NAME-tls` beside it."""

    namespace: str
    service: str

    @property
    def secret(self) -> str:
        """Name of the Secret."""
        return f"{self.service}-tls"

    @property
    def names(self) -> tuple[str, ...]:
        """What clients call the service."""
        full = f"{self.service}.{self.namespace}"
        return (self.service, full, f"{full}.svc", f"{full}.svc.cluster.local")


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the rotation needs to know of a certificate."""

    fingerprint: Fingerprint
    begins: datetime
    ends: datetime

    def old(self, now: datetime) -> bool:
        """Whether two thirds of its life are over."""
        return now >= self.begins + (self.ends - self.begins) * 2 / 3

    def expired(self, now: datetime) -> bool:
        """Whether its life is over. One that has not begun comes from a clock ahead of ours: it stays."""
        return now >= self.ends


@dataclass(frozen=True, slots=True)
class Leaf:
    """A serving certificate that matches its key."""

    certificate: Certificate
    issuer: Fingerprint
    """The authority that signed it; empty when it is none of ours."""
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Keyring:
    """The authorities in the Secret `doorward-ca-key`."""

    active: Certificate | None = None
    """Signs."""
    next: Certificate | None = None
    """Will sign once everybody knows it."""
    previous: Certificate | None = None
    """Signed before; its key is gone."""
    asked: bool = False
    """Whether somebody wants a rotation before the active one is old."""

    @property
    def trusted(self) -> tuple[Fingerprint, ...]:
        """What bundles hold, in order."""
        kept = (self.active, self.next, self.previous)
        return tuple(found.fingerprint for found in kept if found is not None)


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything as it was read."""

    keyring: Keyring
    bundles: Mapping[str, tuple[Fingerprint, ...]]
    """Bundle by place: the ConfigMap and the webhook configurations."""
    leaves: Mapping[Target, tuple[Leaf | None, tuple[Fingerprint, ...]]]
    """Leaf and bundle of each Secret; those that may not be read are left out."""


@dataclass(frozen=True, slots=True)
class MakeActive:
    """Make an authority that signs from now on; there is none that could."""


@dataclass(frozen=True, slots=True)
class MakeNext:
    """Make the authority that will sign later."""


@dataclass(frozen=True, slots=True)
class Promote:
    """The next authority becomes the active one, the active one the previous one, whose key is destroyed."""


@dataclass(frozen=True, slots=True)
class ForgetPrevious:
    """Trust the previous authority no longer."""


@dataclass(frozen=True, slots=True)
class SetBundle:
    """Write the trusted authorities to a place."""

    place: str


@dataclass(frozen=True, slots=True)
class Issue:
    """Issue a leaf by the active authority, and write it with the bundle."""

    target: Target


@dataclass(frozen=True, slots=True)
class Renew:
    """Keep the leaf of a target, write the bundle beside it."""

    target: Target


Write: TypeAlias = MakeActive | MakeNext | Promote | ForgetPrevious | SetBundle | Issue | Renew


def plan(observed: Observed, now: datetime, lifetimes: Lifetimes = Lifetimes()) -> tuple[Write, ...]:
    """The writes that are due, in order; empty when nothing is.

    A write to the keyring comes alone: what follows from it is planned after it was read back.
    """
    of_keyring = _keyring(observed, now, lifetimes)
    if of_keyring is not None:
        return (of_keyring,)
    return (*_bundles(observed), *_leaves(observed, now))


def _keyring(observed: Observed, now: datetime, lifetimes: Lifetimes) -> Write | None:
    keyring = observed.keyring
    if keyring.active is None or keyring.active.expired(now):
        usable = keyring.next is not None and not keyring.next.expired(now)
        return Promote() if usable else MakeActive()
    if keyring.next is None:
        if keyring.previous is not None:
            return ForgetPrevious() if _switched(observed, now, lifetimes) else None
        return MakeNext() if keyring.asked or keyring.active.old(now) else None
    return Promote() if _known(observed, keyring.next, now, lifetimes) else None


def _known(observed: Observed, following: Certificate, now: datetime, lifetimes: Lifetimes) -> bool:
    """Whether everybody who verifies has had the next authority for long enough."""
    everywhere = all(following.fingerprint in bundle for bundle in _all_bundles(observed))
    return everywhere and now >= following.begins + lifetimes.settle


def _switched(observed: Observed, now: datetime, lifetimes: Lifetimes) -> bool:
    """Whether every leaf has been the active authority's for long enough."""
    active = observed.keyring.active
    leaves = [leaf for leaf, _ in observed.leaves.values()]
    return active is not None and all(
        leaf is not None
        and leaf.issuer == active.fingerprint
        and now >= leaf.certificate.begins + lifetimes.linger
        for leaf in leaves
    )


def _all_bundles(observed: Observed) -> Iterator[tuple[Fingerprint, ...]]:
    yield from observed.bundles.values()
    yield from (bundle for _, bundle in observed.leaves.values())


def _bundles(observed: Observed) -> Iterator[Write]:
    trusted = observed.keyring.trusted
    for place, bundle in sorted(observed.bundles.items()):
        if set(bundle) != set(trusted):
            yield SetBundle(place)


def _leaves(observed: Observed, now: datetime) -> Iterator[Write]:
    for target, (leaf, bundle) in sorted(observed.leaves.items(), key=lambda item: item[0]):
        if _due(observed.keyring, target, leaf, now):
            yield Issue(target)
        elif set(bundle) != set(observed.keyring.trusted):
            yield Renew(target)


def _due(keyring: Keyring, target: Target, leaf: Leaf | None, now: datetime) -> bool:
    active = keyring.active
    if leaf is None or active is None:
        return True
    foreign = leaf.issuer != active.fingerprint
    return foreign or leaf.names != target.names or leaf.certificate.old(now)
