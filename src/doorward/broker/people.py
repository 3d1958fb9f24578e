"""Where an action demands people: what they have agreed to, whom to ask, and how a question stands."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from doorward import policy
from doorward.broker.clerk import Clerk
from doorward.broker.parking import Parking, Wanted
from doorward.broker.pleas import Plea
from doorward.broker.sessions import Open
from doorward.core import digest
from doorward.core.action import Action
from doorward.core.decision import Demand, Denial, Permit
from doorward.core.strictjson import Json
from doorward.errors import Code, Refusal
from doorward.ledger import GrantRow, Ledger
from doorward.policy import ActionRequest, Approver, Context, GrantFact
from doorward.policy.reach import effect_of

MAX_WAIT: Final = 60
"""Seconds that a door may ask to wait."""
_HELD_SECONDS: Final = 50.0
"""How long we do wait at most, below the time that a handler has."""
_POLL_SECONDS: Final = 1.0
"""Another broker may have written the change."""
_WAIT: Final = re.compile(r"wait=([0-9]{1,2})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Appeal:
    """A request for an action that people must agree to."""

    request: str
    """The door's id of the request."""
    wanted: ActionRequest
    action: Action
    """The same with its resource, as the broker derived it."""
    plea: Plea


@dataclass(frozen=True, slots=True)
class Consulted:
    """What the policy says with people's answers in it."""

    verdict: Permit | Denial
    row: GrantRow | None
    """The Grant that it is about."""

    @property
    def members(self) -> dict[str, Json]:
        """Members of the problem document, for the door."""
        row = self.row
        if row is None:
            return {}
        if not isinstance(self.verdict, Denial) or self.verdict.code is not Code.APPROVAL_PENDING:
            return {"grant": row.name}
        pending = {
            "expires": int(row.expires_at),
            "quorum": row.quorum,
            "approvals": len(row.approvers),
        }
        return {"grant": row.name, "pending": pending}


@dataclass
class People:
    """Consults the Grants of the ledger, and parks what nobody has been asked about."""

    ledger: Ledger
    parking: Parking
    clerk: Clerk
    monotonic: Callable[[], float] = time.monotonic

    async def consult(self, opened: Open, appeal: Appeal, context: Context) -> Consulted:
        """Decide again, with the Grants for exactly this action; ask people where nobody was asked."""
        task_uid = opened.session.task_uid
        rows = await asyncio.to_thread(self.ledger.reader.grants, task_uid, digest.of(appeal.action))
        if any(row.uses for row in rows):
            own = await asyncio.to_thread(self.ledger.reader.rested_on, opened.session.id, appeal.request)
            rows = tuple(_without_own_use(row) if row.uid == own else row for row in rows)
        found = self._decided(appeal.wanted, context, rows)
        if isinstance(found.verdict, Permit) or found.verdict.demand is None:
            return found
        row = await self._asked(opened, appeal, context, found.verdict.demand)
        if isinstance(row, Denial):
            return Consulted(row, None)
        if row.uid not in {known.uid for known in rows}:
            self.clerk.changed(row)
        self.clerk.look(row.namespace, row.name)
        after = self._decided(appeal.wanted, context, (row,))
        if isinstance(after.verdict, Denial) and after.verdict.demand is not None:
            return Consulted(_another_rule(row), row)
        return after

    async def standing(self, opened: Open, name: str, wait: float) -> dict[str, Json]:
        """How a Grant of the session's task stands, once that changes or `wait` seconds have passed.

        Raises `Refusal(unknown_action)` for a Grant of anybody else.
        """
        until = self.monotonic() + min(wait, _HELD_SECONDS)
        while True:
            bell = self.clerk.bell((opened.session.namespace, name))
            row = await self._row(opened, name)
            left = until - self.monotonic()
            if row.state != "pending" or left <= 0:
                return _document(row)
            await _rung(bell, min(left, _POLL_SECONDS))

    async def used(self, found: Consulted) -> None:
        """A use of the Grant was taken, or refused: what people see of it changes."""
        before = found.row
        if before is None:
            return
        after = await asyncio.to_thread(self.ledger.reader.grant, before.namespace, before.name)
        if after is not None and after.uid == before.uid:
            self.clerk.changed(after, before)
        self.clerk.look(before.namespace, before.name)

    async def _row(self, opened: Open, name: str) -> GrantRow:
        session = opened.session
        row = await asyncio.to_thread(self.ledger.reader.grant, session.namespace, name)
        if row is None or row.uid is None or row.task_uid != session.task_uid:
            raise Refusal(
                Code.UNKNOWN_ACTION, "this task has no such Grant", allowed="Grants that a decision named"
            )
        return row

    async def _asked(
        self, opened: Open, appeal: Appeal, context: Context, demand: Demand
    ) -> GrantRow | Denial:
        kind, connector = context.actions[appeal.action.name], context.connector
        assert connector is not None  # noqa: S101 - the policy demands people for known actions only
        wanted = Wanted(
            task=context.task,
            role=context.current_role or context.pinned_role,
            action=appeal.action,
            effect=effect_of(kind, connector),
            demand=demand,
            policy_hash=context.policy_hash,
            plea=appeal.plea,
        )
        return await self.parking.ask(opened.session.id, wanted)

    def _decided(self, wanted: ActionRequest, context: Context, rows: tuple[GrantRow, ...]) -> Consulted:
        by_uid: Mapping[str | None, GrantRow] = {row.uid: row for row in rows}
        verdict = policy.decide(wanted, replace(context, grants=tuple(map(fact_of, rows))))
        return Consulted(verdict, by_uid.get(verdict.grant))


def fact_of(row: GrantRow) -> GrantFact:
    """The ledger's row as the policy sees it."""
    agreed = (item for item in row.answers if item.refused is None and item.decision == "Approve")
    return GrantFact(
        uid=row.uid or "",
        rule=row.rule,
        connector=row.connector,
        action=row.action,
        digest=row.digest,
        policy_hash=row.policy_hash,
        state=row.state if row.gone_at is None else "revoked",
        quorum=row.quorum,
        uses=row.uses,
        max_uses=row.max_uses,
        expires_at=row.expires_at,
        approved=tuple(Approver(item.user, item.recorded_at) for item in agreed),
    )


def _without_own_use(row: GrantRow) -> GrantRow:
    """The Grant as it was before this very request took its use: asking again gives the same answer."""
    state = "active" if row.state == "exhausted" else row.state
    return replace(row, state=state, uses=row.uses - 1)


def parse_wait(query: str) -> float:
    """The seconds of `wait=`; 0 without one. Raises `Refusal(malformed)`."""
    found = _WAIT.fullmatch(query)
    if not query:
        return 0.0
    if found is not None and int(found[1]) <= MAX_WAIT:
        return float(found[1])
    raise Refusal(Code.MALFORMED, "not a wait", allowed=f"wait=0 to wait={MAX_WAIT}")


def _document(row: GrantRow) -> dict[str, Json]:
    return {
        "grant": row.name,
        "state": row.state,
        "approvals": len(row.approvers),
        "quorum": row.quorum,
        "expires": int(row.expires_at),
    }


def _another_rule(row: GrantRow) -> Denial:
    return Denial(
        Code.GRANT_STALE,
        f"people were asked about this under rule {row.rule}, which is not the one that demands them now",
        rule=row.rule,
        allowed="what was asked for, under the rule it was asked under",
        ask="an approver to delete the Grant; then the action can be asked for again",
        grant=row.uid,
    )


async def _rung(bell: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await bell.wait()
    except TimeoutError:
        pass
