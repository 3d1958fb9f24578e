"""Whether what the broker hears of the cluster is fresh.

Each second the broker writes a mark into a Lease of its own and waits to see it come back on the watch.
While the newest mark that came back is older than some seconds, nothing is decided or redeemed: a
revocation may have been written that did not arrive either.

The mark also carries epoch and head of the ledger, outside of it: a ledger that was lost or set back
is recognised at the next start (see `epochs`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from doorward.core import ids
from doorward.errors import Code, Refusal
from doorward.kube import ApiError, Change, ChangeType, Client, Object, resources
from doorward.ledger import Head
from doorward.telemetry import log

NAME: Final = "doorward-broker-heartbeat"
BEAT: Final = "doorward.dev/beat"
LEDGER: Final = "doorward.dev/ledger"
LABELS: Final = {
    "app.kubernetes.io/name": "doorward",
    "app.kubernetes.io/component": "broker",
}
SELECTOR: Final = ",".join(f"{name}={value}" for name, value in LABELS.items())
_LOG: Final = log.get(__name__)
_INTERVAL: Final = 1.0


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
        """The informer's callback for Leases."""
        if change.type is ChangeType.PRESENT and change.object["metadata"]["name"] == NAME:
            self.seen(change.object["metadata"].get("annotations", {}).get(BEAT, ""))

    async def run(self, client: Client, namespace: str, anchor: Callable[[], Awaitable[str]]) -> None:
        """Beat for ever. `anchor` gives epoch and head of the ledger for the mark."""
        while True:
            started = self._monotonic()
            try:
                async with asyncio.timeout(2 * _INTERVAL):
                    await client.apply(
                        resources.LEASES, lease(namespace, self.next_mark(), await anchor()), manager=NAME
                    )
            except (ApiError, TimeoutError, Refusal) as error:
                _LOG.warning("no heartbeat", error=str(error) or type(error).__name__)
            if len(self._sent) > 60:
                self._sent = dict(list(self._sent.items())[-10:])
            await asyncio.sleep(max(0.0, _INTERVAL - (self._monotonic() - started)))


def lease(namespace: str, mark: str, anchor: str) -> Object:
    """The Lease object."""
    annotations = {BEAT: mark, LEDGER: anchor}
    metadata = {"name": NAME, "namespace": namespace, "labels": LABELS, "annotations": annotations}
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
