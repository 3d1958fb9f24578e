"""Losing the ledger is loud: whatever happened to it, the next start notices and freezes what lived.

Capabilities name the epoch they are from, and another epoch redeems none of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from doorward.core import ids
from doorward.core.strictjson import Json
from doorward.errors import Code, Refusal
from doorward.kube import Object
from doorward.ledger import Epoch, Head, Ledger
from doorward.telemetry import log
from doorward.tokens import jws
from doorward.tokens.keys import SigningKeys

_FORM: Final = jws.Form(
    typ="doorward-epoch+jwt",
    code=Code.UNAVAILABLE,
    claims={"iss": str, "epoch": str, "number": int, "iat": int},
)
_LOG: Final = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether the epoch goes on."""

    cause: str | None
    """Why a new one begins; None when the old one goes on."""
    loss: bool
    """Whether something was lost, so that what lives is frozen."""


def judge(
    epoch: Epoch | None, *, signed: bool, anchor: tuple[str, Head] | None, there: str | None, lived: bool
) -> Judgement:
    """Pure. `anchor` is what was seen last, outside the ledger; `there` the hash of that event in it.

    `signed` says whether the epoch's statement was made by the key we hold, `lived` whether there are tasks
    whose agents run: none does before some ledger has opened its session.
    """
    if epoch is None:
        lost = anchor is not None or lived
        return Judgement("the ledger was lost" if lost else "first start", loss=lost)
    if not signed:
        return Judgement("the ledger was made with another key", loss=True)
    if anchor is None:
        return Judgement(None, loss=False)
    if anchor[0] != epoch.id:
        return Judgement("the ledger is another one than the last seen", loss=True)
    if anchor[1].seq and there != anchor[1].hash:
        return Judgement("the ledger was set back", loss=True)
    return Judgement(None, loss=False)


def runs(task: Object) -> bool:
    """Whether the agent of an AgentTask has started and not ended, as far as its status says."""
    status = task.get("status") or {}
    return bool(status.get("startedAt")) and not status.get("finishedAt")


async def establish(
    ledger: Ledger,
    keys: SigningKeys,
    issuer: str,
    anchor: tuple[str, Head] | None,
    now: float,
    *,
    lived: bool = False,
) -> Epoch:
    """The epoch in force, after beginning a new one where that is due."""
    epoch = await ledger.epoch()
    event = ledger.reader.event(anchor[1].seq) if anchor else None
    verdict = judge(
        epoch,
        signed=epoch is not None and _is_signed(epoch, keys, issuer),
        anchor=anchor,
        there=event.hash if event else None,
        lived=lived,
    )
    if verdict.cause is None and epoch is not None:
        return epoch
    log_as = _LOG.error if verdict.loss else _LOG.info
    log_as("a new epoch of the ledger begins", cause=verdict.cause, tasks_freeze=verdict.loss)
    fresh = _new(
        keys, issuer, epoch.number + 1 if epoch else 1, now, trusts_after=now if verdict.loss else 0.0
    )
    return await ledger.begin_epoch(
        fresh, epoch.id if epoch else None, cause=verdict.cause, loss=verdict.loss
    )


def _new(keys: SigningKeys, issuer: str, number: int, now: float, *, trusts_after: float) -> Epoch:
    epoch = ids.uuid7()
    claims: dict[str, Json] = {"iss": issuer, "epoch": epoch, "number": number, "iat": int(now)}
    statement = jws.sign(claims, _FORM.typ, keys.current, {"kid": keys.current_id})
    return Epoch(number, epoch, statement, now, trusts_after)


def _is_signed(epoch: Epoch, keys: SigningKeys, issuer: str) -> bool:
    def key_of(header: jws.Header) -> Ed25519PublicKey:
        found = keys.public.get(str(header.get("kid")))
        if found is None:
            raise Refusal(Code.UNAVAILABLE, "the epoch is not signed by our key")
        return found

    try:
        _, claims = jws.read(epoch.statement, _FORM, key_of)
    except Refusal:
        return False
    return (claims["iss"], claims["epoch"], claims["number"]) == (issuer, epoch.id, epoch.number)
