"""Requests that wait for people: the door keeps their arguments, so that nothing is sent twice.

What is kept is bounded and lives in memory alone. A door that was restarted has forgotten it, and
loses nothing by that: whoever asks for the same action again is told of the same Grant.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from doorward.core import ids, strictjson
from doorward.core.clock import Clock, system
from doorward.core.strictjson import Json, JsonObject
from doorward.door.standing import OVER, Standing
from doorward.errors import Code, Refusal

MOST: Final = 16
"""Requests that are kept at the same time."""
MAX_BYTES: Final = 2_000_000
"""Bytes of all their arguments, as JSON."""
FORGET_SECONDS: Final = 600.0
"""How long a request that is over can still be asked about."""


@dataclass(slots=True)
class Parked:
    """One request that waits."""

    id: str
    connector: str
    action: str
    content: bytes
    """Its arguments as JSON, which is smaller than what they are read into; empty once it is over."""
    standing: Standing
    forget_at: float

    @property
    def args(self) -> JsonObject:
        """The arguments as they were sent."""
        return strictjson.load_object(self.content, max_bytes=MAX_BYTES)

    @property
    def over(self) -> bool:
        """Whether nothing more can come of it."""
        return self.standing.state in OVER

    @property
    def location(self) -> str:
        """Where the agent asks about it."""
        return f"/v1/requests/{self.id}"

    def document(self) -> dict[str, Json]:
        """What the agent is told."""
        return {"request": self.id, **self.standing.document()}


class Lot:
    """Keeps the requests of one session."""

    def __init__(self, clock: Clock = system) -> None:
        self._clock = clock
        self._parked: dict[str, Parked] = {}

    def park(self, connector: str, action: str, args: JsonObject, standing: Standing) -> Parked:
        """Keep a request; the same action again is the same request.

        Raises `Refusal(rate_limited)` when there is no room: the Grant waits all the same.
        """
        self._sweep()
        for known in self._parked.values():
            if known.standing.grant == standing.grant and not known.over:
                self.update(known, standing)
                return known
        content = json.dumps(args, separators=(",", ":"), ensure_ascii=False).encode()
        self._make_room(len(content), standing.grant)
        parked = Parked(ids.uuid7(), connector, action, content, standing, self._until(standing))
        self._parked[parked.id] = parked
        return parked

    def find(self, id_: str) -> Parked:
        """The request of this id. Raises `Refusal(unknown_action)` when there is none, or not any more."""
        self._sweep()
        found = self._parked.get(id_)
        if found is None:
            raise Refusal(
                Code.UNKNOWN_ACTION,
                "no request is waiting under this id",
                allowed="requests that wait for an approval, until they are over and that has been told",
                ask="ask for the action again: a Grant that still waits is found again",
            )
        return found

    def update(self, parked: Parked, standing: Standing) -> None:
        """Note how its Grant stands now. What is over needs no arguments any more."""
        parked.standing = standing
        parked.forget_at = self._until(standing)
        if parked.over:
            parked.content = b""

    def forget(self, parked: Parked) -> None:
        """Keep nothing of it."""
        self._parked.pop(parked.id, None)

    def _until(self, standing: Standing) -> float:
        now = self._clock()
        return (now if standing.state in OVER else max(now, standing.expires)) + FORGET_SECONDS

    def _sweep(self) -> None:
        now = self._clock()
        for parked in [item for item in self._parked.values() if item.forget_at <= now]:
            self.forget(parked)

    def _make_room(self, size: int, grant: str) -> None:
        if len(self._parked) >= MOST:
            for parked in [item for item in self._parked.values() if item.over]:
                self.forget(parked)
        held = sum(len(item.content) for item in self._parked.values())
        if len(self._parked) >= MOST or held + size > MAX_BYTES:
            raise Refusal(
                Code.RATE_LIMITED,
                f"too much waits for people already; Grant {grant} waits, but its arguments are not kept",
                allowed=f"{MOST} requests with {MAX_BYTES} bytes of arguments together",
                ask="ask for the action again once other requests are over: the same Grant is found again",
            )
