"""Whether what the broker hears of the cluster is fresh.

Each second the broker writes a mark into the status of a Revocation of its own and waits to see it come
back on the watch of Revocations. One watch tells its changes in the order they were written, so a mark
that came back says that every Revocation before it has come too; a mark on any other kind would come by
another connection out of another cache of the API server and say nothing about this one. While the newest
mark that came back is older than some seconds, nothing is decided or redeemed.

Beside it a Lease carries epoch and head of the ledger, outside of it: a ledger that was lost or set back
is recognised at the next start (see `epochs`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from doorward.core import ids
from doorward.errors import Code, Refusal
from doorward.kube import ApiError, Change, ChangeType, Client, Object, resources
from doorward.ledger import Head
from doorward.telemetry import log

NAME: Final = "doorward-broker-heartbeat"
LEDGER: Final = "doorward.dev/ledger"
LABELS: Final = {
    "app.kubernetes.io/name": "doorward",
    "app.kubernetes.io/component": "broker",
}
_LOG: Final = log.get(__name__)
_INTERVAL: Final = 1.0
_ANCHOR_SECONDS: Final = 30.0
"""How long an anchor that has not changed is left alone."""
_KEPT: Final = 60


class Heartbeat:
    """Freshness of one process's news."""

    def __init__(
        self,
        limit_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
        process: str | None = None,
    ) -> None:
        self._limit = limit_seconds
        self._monotonic = monotonic
        self._process = process or ids.uuid7()
        self._sent: dict[str, float] = {}
        self._number = 0
        self._seen: float | None = None
        self.behind: Callable[[], float] = lambda: 0.0
        """For how many seconds any other watch has been broken: the mark says nothing about those."""

    @property
    def age(self) -> float:
        """Seconds since the newest mark that came back was sent; infinite before the first.

        More where another watch has been broken for longer.
        """
        if self._seen is None:
            return float("inf")
        return max(self._monotonic() - self._seen, self.behind())

    @property
    def current(self) -> bool:
        """Whether the news is fresh and no watch is broken at this moment."""
        return self.age <= self._limit and self.behind() == 0.0

    def check(self) -> None:
        """Raise `Refusal(unavailable)` when the news is stale."""
        if self.age > self._limit:
            raise Refusal(
                Code.UNAVAILABLE, "the broker has no fresh news from the cluster", ask="try again in a second"
            )

    def next_mark(self) -> str:
        """A mark to write, counted from now."""
        self._number += 1
        mark = f"{self._process}/{self._number}"
        self._sent[mark] = self._monotonic()
        return mark

    def seen(self, mark: str) -> None:
        """A mark came back. Marks of other processes and of the past say nothing."""
        sent = self._sent.get(mark)
        if sent is not None:
            self._seen = max(sent, self._seen or sent)
            self._sent = {other: at for other, at in self._sent.items() if at > sent}

    def on_change(self, change: Change) -> None:
        """The informer's callback for Revocations; others follow what these take back."""
        if change.type is ChangeType.PRESENT and change.object["metadata"]["name"] == NAME:
            self.seen(str((change.object.get("status") or {}).get("beat", "")))

    async def run(self, client: Client, namespace: str) -> None:
        """Beat for ever."""
        while True:
            started = self._monotonic()
            await _attempt("no heartbeat", self._beat(client, namespace))
            if len(self._sent) > _KEPT:
                self._sent = dict(list(self._sent.items())[-10:])
            await asyncio.sleep(max(0.0, _INTERVAL - (self._monotonic() - started)))

    async def _beat(self, client: Client, namespace: str) -> None:
        body: Object = {"status": {"beat": self.next_mark()}}
        try:
            await client.merge(resources.REVOCATIONS, NAME, body, namespace, subresource="status")
        except ApiError as error:
            if not error.not_found:
                raise
            await client.create(resources.REVOCATIONS, own_revocation(namespace), namespace)


async def keep_anchor(client: Client, namespace: str, anchor: Callable[[], Awaitable[str]]) -> None:
    """Carry epoch and head of the ledger out of it for ever, within a second of each change."""
    written, at = "", float("-inf")

    async def keep() -> None:
        nonlocal written, at
        text, now = await anchor(), time.monotonic()
        if text != written or now - at >= _ANCHOR_SECONDS:
            await client.apply(resources.LEASES, lease(namespace, text), manager=NAME)
            written, at = text, now

    while True:
        await _attempt("the ledger's head was not carried out", keep())
        await asyncio.sleep(_INTERVAL)


async def _attempt(failure: str, work: Coroutine[Any, Any, None]) -> None:
    try:
        async with asyncio.timeout(2 * _INTERVAL):
            await work
    except (ApiError, TimeoutError, Refusal) as error:
        _LOG.warning(failure, error=str(error) or type(error).__name__)


def own_revocation(namespace: str) -> Object:
    """The Revocation whose status beats; the task that it takes back is none that there can be."""
    kind = resources.REVOCATIONS
    reason = "The broker's own: its status shows each second that Revocations arrive. It takes nothing back."
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {"name": NAME, "namespace": namespace, "labels": LABELS},
        "spec": {"tasks": [NAME], "reason": reason},
    }


def lease(namespace: str, anchor: str) -> Object:
    """The Lease object."""
    metadata = {"name": NAME, "namespace": namespace, "labels": LABELS, "annotations": {LEDGER: anchor}}
    kind = resources.LEASES
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": {}}


def anchor_text(epoch: str, head: Head) -> str:
    """Epoch and head as one annotation."""
    return f"{epoch} {head}"


def anchor_of(found: Object | None) -> tuple[str, Head] | None:
    """Epoch and head that the last process left; None where there is none that can be read."""
    text = ((found or {}).get("metadata", {}).get("annotations") or {}).get(LEDGER, "")
    parts = text.split(" ")
    if len(parts) != 3 or not parts[1].isdecimal():
        return None
    return parts[0], Head(int(parts[1]), parts[2])
