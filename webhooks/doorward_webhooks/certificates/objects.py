"""The objects that hold it all: which they are, what was read from them, what is written to them.

Only `get` and `update` on objects that the charts have made, by name. An update carries the version that
was read, so whoever comes second starts over.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from doorward.kube import ApiError, Client, Object, Resource, resources
from doorward.telemetry import log
from doorward_webhooks.certificates import x509
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
)
from doorward_webhooks.certificates.x509 import Pair

KEYRING: Final = "doorward-ca-key"
CONFIG_MAP: Final = "doorward-ca"
WEBHOOK: Final = "doorward"
ROTATE: Final = "doorward.dev/rotate"
"""Annotation of the keyring, with any value: whoever may write the authority's key asks for the next one."""

_LOG: Final = log.get(__name__)
_NOT_OURS: Final = frozenset({403, 404})
"""A Secret that is not there, or was not opened to us: its connector's release has the say."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a bundle lies besides the Secrets."""

    name: str
    resource: Resource
    object: str
    read: Callable[[Object], bytes]
    write: Callable[[Object, bytes], None]


@dataclass(slots=True)
class Snapshot:
    """The objects of one round as they were read."""

    keyring: Object
    places: dict[str, Object]
    secrets: dict[Target, Object]
    skipped: tuple[Target, ...]
    """Targets whose Secret could not be read or is not there."""

    def authorities(self) -> list[bytes]:
        """PEM of the trusted authorities: active, next, previous."""
        data = _data(self.keyring)
        found = (data.get(f"{slot}.crt", b"") for slot in ("active", "next", "previous"))
        return [pem for pem in found if x509.certificate(pem)]

    def signer(self) -> Pair:
        """The active authority with its key."""
        return _pair(self.keyring, "active")

    def observed(self) -> Observed:
        """What the rotation needs to know."""
        authorities = self.authorities()
        return Observed(
            keyring=Keyring(
                active=_authority(self.keyring, "active"),
                next=_authority(self.keyring, "next"),
                previous=x509.certificate(_data(self.keyring).get("previous.crt", b"")),
                asked=ROTATE in _annotations(self.keyring),
            ),
            bundles={name: _fingerprints(PLACES[name].read(found)) for name, found in self.places.items()},
            leaves={target: _leaf(found, authorities) for target, found in self.secrets.items()},
        )


async def read(client: Client, namespace: str, targets: Sequence[Target]) -> Snapshot:
    """Read every object. Raises `ApiError` when one of the release's own is not readable."""
    secrets, skipped = await _secrets(client, targets)
    return Snapshot(
        keyring=await client.get(resources.SECRETS, KEYRING, namespace),
        places={
            place.name: await client.get(
                place.resource, place.object, namespace if place.resource.namespaced else None
            )
            for place in PLACES.values()
        },
        secrets=secrets,
        skipped=skipped,
    )


async def _secrets(
    client: Client, targets: Sequence[Target]
) -> tuple[dict[Target, Object], tuple[Target, ...]]:
    found: dict[Target, Object] = {}
    skipped: list[Target] = []
    for target in targets:
        try:
            found[target] = await client.get(resources.SECRETS, target.secret, target.namespace)
        except ApiError as error:
            if error.status not in _NOT_OURS:
                raise
            skipped.append(target)
            _LOG.warning(
                "no certificate for a service",
                service=target.service,
                namespace=target.namespace,
                remedy="its release makes the Secret and opens it to doorward-certificates",
                status=error.status,
            )
    return found, tuple(skipped)


async def write(client: Client, snapshot: Snapshot, due: Write, now: datetime, lifetimes: Lifetimes) -> None:
    """Carry out one write. Raises `ApiError`; 409 means that somebody else wrote first."""
    match due:
        case MakeActive() | MakeNext() | Promote() | ForgetPrevious():
            _turn(snapshot.keyring, due, now, lifetimes)
            await client.replace(resources.SECRETS, snapshot.keyring)
        case SetBundle(place):
            found = snapshot.places[place]
            PLACES[place].write(found, b"".join(snapshot.authorities()))
            await client.replace(PLACES[place].resource, found)
        case Issue(target):
            issued = x509.issue(snapshot.signer(), target.names, now, lifetimes.leaf)
            values = {"tls.crt": issued.certificate, "tls.key": issued.key}
            await _fill(client, snapshot, target, values)
        case Renew(target):
            await _fill(client, snapshot, target, {})


async def _fill(client: Client, snapshot: Snapshot, target: Target, values: Mapping[str, bytes]) -> None:
    found = snapshot.secrets[target]
    _put(found, {**values, "ca.crt": b"".join(snapshot.authorities())})
    await client.replace(resources.SECRETS, found)


def _turn(keyring: Object, due: Write, now: datetime, lifetimes: Lifetimes) -> None:
    data = _data(keyring)
    match due:
        case MakeActive():
            made = x509.make_authority(now, lifetimes.authority)
            data = {"active.crt": made.certificate, "active.key": made.key}
        case MakeNext():
            made = x509.make_authority(now, lifetimes.authority)
            data |= {"next.crt": made.certificate, "next.key": made.key}
            _annotations(keyring).pop(ROTATE, None)
        case Promote():
            kept = {"active.crt": data["next.crt"], "active.key": data["next.key"]}
            data = {**kept, "previous.crt": data["active.crt"]} if "active.crt" in data else kept
        case ForgetPrevious():
            data.pop("previous.crt", None)
    keyring["data"] = {}
    _put(keyring, data)


def _authority(keyring: Object, slot: str) -> Certificate | None:
    pair = _pair(keyring, slot)
    return x509.certificate(pair.certificate) if x509.matches(pair) else None


def _pair(found: Object, slot: str) -> Pair:
    data = _data(found)
    return Pair(data.get(f"{slot}.crt", b""), data.get(f"{slot}.key", b""))


def _leaf(found: Object, authorities: Sequence[bytes]) -> tuple[Leaf | None, tuple[str, ...]]:
    data = _data(found)
    return x509.leaf(_pair(found, "tls"), authorities), _fingerprints(data.get("ca.crt", b""))


def _fingerprints(pem: bytes) -> tuple[str, ...]:
    return tuple(x509.fingerprint(found) for found in x509.bundle(pem))


def _data(found: Object) -> dict[str, bytes]:
    return {name: base64.b64decode(text) for name, text in (found.get("data") or {}).items()}


def _annotations(found: Object) -> dict[str, str]:
    annotations: dict[str, str] = found["metadata"].get("annotations") or {}
    return annotations


def _put(found: Object, values: Mapping[str, bytes]) -> None:
    found.setdefault("data", {})
    found["data"] |= {name: base64.b64encode(value).decode() for name, value in values.items()}


def _config_map(found: Object) -> bytes:
    return str((found.get("data") or {}).get("ca.crt", "")).encode()


def _set_config_map(found: Object, pem: bytes) -> None:
    found["data"] = {**(found.get("data") or {}), "ca.crt": pem.decode()}


def _webhook(found: Object) -> bytes:
    """The bundle of all webhooks where it is the same for each; else none."""
    bundles = {hook["clientConfig"].get("caBundle", "") for hook in _hooks(found)}
    return base64.b64decode(bundles.pop()) if len(bundles) == 1 else b""


def _set_webhook(found: Object, pem: bytes) -> None:
    for hook in _hooks(found):
        hook["clientConfig"]["caBundle"] = base64.b64encode(pem).decode()


def _hooks(found: Object) -> list[dict[str, Any]]:
    hooks: list[dict[str, Any]] = found.get("webhooks") or []
    return hooks


PLACES: Final[Mapping[str, Place]] = {
    place.name: place
    for place in (
        Place("config-map", resources.CONFIG_MAPS, CONFIG_MAP, _config_map, _set_config_map),
        Place("webhook", resources.VALIDATING_WEBHOOKS, WEBHOOK, _webhook, _set_webhook),
        Place("defaults", resources.MUTATING_WEBHOOKS, WEBHOOK, _webhook, _set_webhook),
    )
}
