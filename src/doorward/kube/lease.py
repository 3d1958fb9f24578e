"""One leader among replicas, by a Lease object.

The rules are client-go's: a holder renews each `retry` seconds, gives up by itself when it could
not renew for `renew` seconds, and others may take the lease when they have not seen it change for
`duration` seconds of their own monotonic clock. As renew < duration, two holders never overlap as
long as clocks run at about the same speed; what they say does not matter.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from doorward.kube.client import Client
from doorward.kube.errors import ApiError
from doorward.kube.resources import LEASES, Object
from doorward.telemetry import log

_LOG: Final = log.get("doorward.kube")


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of an election."""

    duration: float = 15.0
    """How long others wait for a holder that is silent."""
    renew: float = 10.0
    """How long a holder that cannot renew believes in itself."""
    retry: float = 2.0
    """Time between two attempts, of holders and of others."""


class Election:
    """Takes part in an election. Everything irreversible asks `leading` right before."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        name: str,
        identity: str,
        *,
        timing: Timing | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self.identity = identity
        self._timing = timing or Timing()
        self._monotonic = monotonic
        self._renewed: float | None = None
        self._seen: tuple[str, float] = ("", monotonic())
        self.term_started: float | None = None
        """When this replica last became leader, on the monotonic clock."""

    @property
    def leading(self) -> bool:
        """Whether this replica holds the lease for certain at this moment."""
        renewed = self._renewed
        return renewed is not None and self._monotonic() - renewed < self._timing.renew

    async def run(self, changed: Callable[[bool], None]) -> None:
        """Campaign until cancelled; `changed` is told of each gain and loss. Releases on the way out."""
        before = False
        try:
            while True:
                await self.attempt()
                if self.leading is not before:
                    before = not before
                    _LOG.info("the lease was gained" if before else "the lease was lost", lease=self._name)
                    changed(before)
                await asyncio.sleep(self._timing.retry)
        finally:
            if before:
                changed(not before)
            await self.release()

    async def attempt(self) -> None:
        """Take or renew the lease if that is due; what does not work now is tried again later."""
        asked = self._monotonic()
        try:
            async with asyncio.timeout(self._timing.renew / 2):
                held = await self._attempt()
        except (ApiError, TimeoutError) as error:
            _LOG.warning("the lease could not be renewed", lease=self._name, error=str(error))
            return
        if not held:
            self._renewed = None
            return
        if not self.leading:
            self.term_started = asked
        self._renewed = asked  # not the time of the answer: others count from the write at the latest

    async def release(self) -> None:
        """Let the next one take over at once."""
        if not self.leading:
            return
        self._renewed = None
        try:
            lease = await self._client.get(LEASES, self._name, self._namespace)
            if lease["spec"].get("holderIdentity") == self.identity:
                lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _now()}
                await self._client.replace(LEASES, lease)
        except ApiError as error:
            _LOG.info("the lease was not released", lease=self._name, error=str(error))

    async def _attempt(self) -> bool:
        lease = await self._client.find(LEASES, self._name, self._namespace)
        if lease is None:
            await self._client.create(LEASES, self._first(), self._namespace)
            return True
        if not self._may_take(lease):
            return False
        try:
            await self._client.replace(LEASES, self._taken(lease))
        except ApiError as error:
            if error.conflict:  # somebody was faster
                return False
            raise
        return True

    def _may_take(self, lease: Object) -> bool:
        holder = (lease.get("spec") or {}).get("holderIdentity") or ""
        if holder in {"", self.identity}:
            return True
        version, now = lease["metadata"]["resourceVersion"], self._monotonic()
        if version != self._seen[0]:
            self._seen = (version, now)
        return now - self._seen[1] >= self._timing.duration

    def _first(self) -> Object:
        metadata = {"name": self._name, "namespace": self._namespace}
        spec = {**self._spec(), "acquireTime": _now(), "leaseTransitions": 0}
        return {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": metadata, "spec": spec}

    def _taken(self, lease: Object) -> Object:
        spec = lease.get("spec") or {}
        if spec.get("holderIdentity") != self.identity:
            transitions = int(spec.get("leaseTransitions", 0)) + 1
            spec = {**spec, "acquireTime": _now(), "leaseTransitions": transitions}
        return {**lease, "spec": {**spec, **self._spec()}}

    def _spec(self) -> Object:
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": int(self._timing.duration),
            "renewTime": _now(),
        }


def _now() -> str:
    """MicroTime, for people: no decision reads it."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
