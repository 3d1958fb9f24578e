"""A ledger on a real database, of each engine in turn, with a clock that tests own."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Table, delete, select

from doorward.core.action import Action
from doorward.core.decision import Denial, Permit, Principal, Reservation
from doorward.core.effect import Effect
from doorward.core.permitting import SEAL
from doorward.errors import Code
from doorward.ledger import Ask, Claim, Door, Evidence, Ledger, Opened, Pin, Report, Terms, store
from doorward.ledger.schema import EVENTS

EPOCH = "epoch-1"


def over_limit(wanted: Reservation, used: int) -> Denial:
    return Denial(Code.LIMIT_EXCEEDED, f"{used} of {wanted.limit}")


PIN = Pin(
    uid="task-uid",
    namespace="agents",
    name="fix-1",
    role="bug-fixer",
    role_snapshot='{"spec":{}}',
    pod_uid="pod-uid",
    pod_name="fix-1-abcd",
    pod_created_at=999.0,
    requested_by="alice",
    image="registry.example/agents/fixer@sha256:0",
)
DOOR = Door("key-1", Evidence("container-1", 0), "10.0.0.7")
ACTION = Action("code", "issue.comment", {"repository": "acme/web"}, {"body": "hello"})
PRINCIPAL = Principal("task-uid", "fix-1", "agents", "bug-fixer", "alice")


@dataclass
class Book:
    """A ledger and the values that tests vary."""

    url: str
    now: float = 1000.0
    """Time that passes for everybody."""
    wrong: float = 0.0
    """How far the wall clock is off."""
    terms: Terms = field(default_factory=lambda: Terms(EPOCH, 60, 1000, over_limit))
    seal: object = SEAL
    ledger: Ledger = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Open the file."""
        self.ledger = Ledger(self.url, lambda: self.now + self.wrong, ticks=lambda: self.now)

    def restart(self) -> None:
        """End well and open the file again."""
        self.ledger.close()
        self.start()

    @staticmethod
    def terms_of(epoch: str, max_denials: int) -> Terms:
        """Terms of an epoch."""
        return Terms(epoch, 60, max_denials, over_limit)

    async def session(self, pin: Pin = PIN, door: Door = DOOR) -> str:
        """Id of an open session."""
        opened = await self.ledger.open_session(pin, door, last_try=True)
        assert isinstance(opened, Opened)
        return opened.session.id

    @staticmethod
    def pin(**changes: Any) -> Pin:
        """Another task."""
        return replace(PIN, **changes)

    @staticmethod
    def ask(session: str, request: str = "request-1", digest: str = "sha256:d") -> Ask:
        """A request for a decision."""
        return Ask(session, request, "code", "issue.comment", "draft", digest, {"repository": "acme/web"})

    @staticmethod
    def permit(*reservations: Reservation) -> Permit:
        """The policy's yes."""
        return Permit(
            ACTION,
            Effect.DRAFT,
            PRINCIPAL,
            "comment",
            "sha256:policy",
            "connector:code",
            reservations,
            {},
            SEAL,
        )

    @staticmethod
    def claim(jti: str, **changes: str) -> Claim:
        """A connector's wish."""
        found = Claim(jti, "connector:code", "sha256:d", EPOCH, "sa:code", "instance-1", "nonce-1")
        return replace(found, **changes)

    @staticmethod
    def report(redemption: str, **changes: object) -> Report:
        """An outcome."""
        found = Report(
            redemption, "sa:code", "succeeded", 201, ({"kind": "issue", "id": "7"},), 12, sent=True
        )
        return replace(found, **changes)  # type: ignore[arg-type]

    def rows(self, table: Table) -> list[dict[str, Any]]:
        """Everything in a table, read beside the ledger."""
        engine = store.engine(self.url)
        with engine.connect() as connection:
            found = [dict(row) for row in connection.execute(select(table)).mappings()]
        engine.dispose()
        return found

    def remove_last_event(self) -> None:
        """Take the end off the chain behind the ledger's back, as a backup that is put back does."""
        engine = store.engine(self.url)
        with engine.connect() as connection:
            newest = select(EVENTS.c.seq).order_by(EVENTS.c.seq.desc()).limit(1).scalar_subquery()
            connection.execute(delete(EVENTS).where(EVENTS.c.seq == newest))
        engine.dispose()

    def events(self, name: str | None = None) -> list[str]:
        """Names of what was written, in order."""
        return [link.event for link in self.ledger.reader.walk() if name in {None, link.event}]
