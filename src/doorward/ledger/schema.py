"""The tables. Times are seconds since the epoch; JSON is text in its canonical form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

METADATA: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


UNSETTLED: Final = "(uncertain > 0 OR kind <> '')"
"""Reservations of which something may come back; as text, so that the index covers it."""


def _where(condition: str) -> dict[str, Any]:
    """Options of an index that covers only some rows, on both databases."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


def _later(*arguments: Any, **options: Any) -> Column[Any]:
    """A column that no new row has: what happens afterwards fills it."""
    return Column(*arguments, info={"later": True}, **options)


def fresh(table: Table) -> tuple[Column[Any], ...]:
    """The columns of a new row; all others stay NULL until something is changed."""
    return tuple(column for column in table.columns if not column.info.get("later"))


EPOCHS: Final = Table(
    "epochs",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False, unique=True),
    Column("statement", Text, nullable=False, comment="the epoch, signed by the broker"),
    Column("started_at", Double, nullable=False),
    Column(
        "trusts_after", Double, nullable=False, comment="pods made before this have a past we do not know"
    ),
)

TASKS: Final = Table(
    "tasks",
    METADATA,
    Column("uid", Text, primary_key=True),
    Column("namespace", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("role_snapshot", Text, nullable=False, comment="the role as it was at the first session"),
    Column("pod_uid", Text, nullable=False, comment="the only pod this task ever has"),
    Column("pod_name", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("pinned_at", Double, nullable=False),
    Column("ended_at", Double),
    Column("requester", Text, nullable=False, server_default=""),
    Column("frozen_at", Double),
    Column("grade", Integer, nullable=False, server_default=text("0"), comment="see `core.grade`"),
    Column("cause", Text, comment="what led to the grade, or to its being frozen"),
    Column("story", Text),
    Column("graded_until", Double),
    Column("parent_uid", Text, comment="the task that started this one"),
    CheckConstraint("state IN ('live', 'frozen', 'ended')", name="state"),
    Index("ix_tasks_namespace_role", "namespace", "role"),
    Index("ix_tasks_present", "namespace", "role", "requester", **_where("state <> 'ended'")),
)

CHILDREN: Final = Table(
    "children",
    METADATA,
    Column("parent_uid", Text, ForeignKey("tasks.uid"), primary_key=True),
    Column("request", Text, primary_key=True, comment="the door's id; makes asking again harmless"),
    Column("name", Text, nullable=False, comment="of the AgentTask that was or will be made"),
    Column("digest", Text, nullable=False, comment="of its spec"),
)

SESSIONS: Final = Table(
    "sessions",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("task_uid", Text, ForeignKey("tasks.uid"), nullable=False, index=True),
    Column("thumbprint", Text, nullable=False),
    Column("container_id", Text, nullable=False),
    Column("restarts", Integer, nullable=False),
    Column("peer", Text, nullable=False),
    Column("opened_at", Double, nullable=False),
    Column("closed_at", Double),
    Column("closed_reason", Text),
    Column("fenced_at", Double, comment="since when the latest report of the fence counts"),
)

COUNTERS: Final = Table(
    "counters",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("window", Integer, primary_key=True, autoincrement=False, comment="seconds, 0 counts for ever"),
    Column("bucket", BigInteger, primary_key=True, autoincrement=False, comment="start of this part"),
    Column("used", BigInteger, nullable=False),
    Column("expires_at", BigInteger, index=True),
)

DECISIONS: Final = Table(
    "decisions",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("session", Text, ForeignKey("sessions.id"), nullable=False),
    Column("request", Text, nullable=False, comment="the door's id; makes asking again harmless"),
    Column("digest", Text, nullable=False),
    Column("capability", Text, comment="jti of a yes"),
    Column("denial", Text, comment="JSON of a no"),
    Column("event", Text, nullable=False),
    Column("decided_at", Double, nullable=False),
    UniqueConstraint("session", "request"),
)

RESERVATIONS: Final = Table(
    "reservations",
    METADATA,
    Column("decision", Text, ForeignKey("decisions.id"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("window", Integer, primary_key=True, autoincrement=False),
    Column("bucket", BigInteger, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("unit", Text, nullable=False, server_default="actions"),
    Column(
        "uncertain",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="of the amount, what the outcome may show to be less",
    ),
    Column("kind", Text, nullable=False, server_default="", comment="of the object counted as open"),
    Index("ix_reservations_unsettled", "decision", **_where(UNSETTLED)),
)

MADE: Final = Table(
    "made",
    METADATA,
    Column("decision", Text, primary_key=True),
    Column("key", Text, primary_key=True, comment="of the counter that holds it"),
    Column("connector", Text, nullable=False),
    Column("place", Text, nullable=False, comment="repository"),
    Column("kind", Text, nullable=False),
    Column("id", Text, nullable=False),
    Index("ix_made_object", "connector", "place", "kind", "id"),
)

CLOCK: Final = Table(
    "clock",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("at", Double, nullable=False, comment="the ledger's own time, which never runs backwards"),
)

CAPABILITIES: Final = Table(
    "capabilities",
    METADATA,
    Column("jti", Text, primary_key=True),
    Column("decision", Text, ForeignKey("decisions.id"), nullable=False),
    Column("session", Text, ForeignKey("sessions.id"), nullable=False, index=True),
    Column("connector", Text, nullable=False),
    Column("audience", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("effect", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("resource", Text, nullable=False, comment="canonical JSON"),
    Column("digest", Text, nullable=False),
    Column("epoch", Text, nullable=False),
    Column("grant_uid", Text, comment="of the Grant that people agreed to, where they had to"),
    Column("issued_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    _later("redemption", Text, unique=True),
    _later("redeemer", Text),
    _later("instance", Text),
    _later("nonce", Text),
    _later("redeemed_at", Double),
    _later("execute_by", Double),
    _later("outcome", Text),
    _later("outcome_event", Text),
    _later("outcome_report", Text, comment="digest of what was reported; makes reporting again harmless"),
    _later("shown", Text, comment="JSON of the references that the outcome reported"),
    CheckConstraint("outcome IN ('succeeded', 'failed', 'unknown')", name="outcome"),
    Index("ix_capabilities_open", "execute_by", **_where("redemption IS NOT NULL AND outcome IS NULL")),
)

REVOCATIONS: Final = Table(
    "revocations",
    METADATA,
    Column("subject", Text, primary_key=True, comment="e.g. task:agents/fix-1, see `subjects_of`"),
    Column("uid", Text, primary_key=True, comment="of the Revocation"),
    Column("latched_at", Double, nullable=False),
)

GRANTS: Final = Table(
    "grants",
    METADATA,
    Column("namespace", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("uid", Text, unique=True, comment="of the object; none between asking for it and its making"),
    Column("task_uid", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("connector", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("policy_hash", Text, nullable=False, comment="of what was evaluated when people were asked"),
    Column("quorum", Integer, nullable=False),
    Column("max_uses", Integer, nullable=False),
    Column("ttl", Integer, nullable=False, comment="seconds it may be used once enough people agreed"),
    Column("author", Text, nullable=False),
    Column("requested_by", Text, nullable=False, comment="who wants the task done"),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("requested_at", Double, nullable=False),
    Column("changed_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False, comment="until when it waits, or may be used"),
    Column("gone_at", Double, comment="since when there is no such object"),
    CheckConstraint(
        "state IN ('pending', 'active', 'exhausted', 'expired', 'denied', 'revoked', 'stale')", name="state"
    ),
    Index("ix_grants_task_uid_digest", "task_uid", "digest"),
    Index("ix_grants_state", "state"),
)

APPROVALS: Final = Table(
    "approvals",
    METADATA,
    Column("grant_uid", Text, primary_key=True),
    Column("user", Text, primary_key=True),
    Column("decision", Text, nullable=False),
    Column("groups", Text, nullable=False, comment="JSON, as the API server knew them"),
    Column("approval_uid", Text, nullable=False),
    Column("recorded_at", Double, nullable=False),
    Column("refused", Text, comment="code of why it does not count"),
    Column("refusal", Text, comment="the same in words"),
    CheckConstraint("decision IN ('Approve', 'Deny')", name="decision"),
)

THAWS: Final = Table(
    "thaws",
    METADATA,
    Column("namespace", Text, primary_key=True),
    Column("name", Text, primary_key=True, comment="a name is good once, whatever becomes of the object"),
    Column("uid", Text, nullable=False, comment="of the Thaw"),
    Column("outcome", Text, nullable=False),
    Column("recorded_at", Double, nullable=False),
)

EVENTS: Final = Table(
    "events",
    METADATA,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False, comment="milliseconds since the epoch"),
    Column("event", Text, nullable=False),
    Column("task_uid", Text),
    Column("body", Text, nullable=False, comment="canonical JSON, the previous event's hash included"),
    Column("hash", Text, nullable=False, unique=True),
    Index("ix_events_task_uid_seq", "task_uid", "seq"),
)

PROOFS: Final = Table(
    "proofs",
    METADATA,
    Column("thumbprint", Text, primary_key=True),
    Column("nonce", Text, primary_key=True),
    Column("expires_at", Double, nullable=False, index=True),
)

SIGNING_KEYS: Final = Table(
    "signing_keys",
    METADATA,
    Column("kid", Text, primary_key=True),
    Column("statement", Text, nullable=False, comment="the public key, signed as epochs are"),
    Column("published_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to rows that were read: these columns of each are set, by its key."""

    name: str
    table: Table
    key: tuple[str, ...]
    sets: tuple[str, ...]
    blank: str | None = None
    """A column that is NULL as yet."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Key and values, in the order in which they are sent."""
        return (*self.key, *self.sets)


SPENT: Final = Change(
    "spent",
    CAPABILITIES,
    ("jti",),
    ("redemption", "redeemer", "instance", "nonce", "redeemed_at", "execute_by"),
    blank="redemption",
)
TOLD: Final = Change(
    "told", CAPABILITIES, ("redemption",), ("outcome", "outcome_event", "outcome_report", "shown")
)
SETTLED: Final = Change("settled", RESERVATIONS, ("decision", "key", "window"), ("uncertain", "kind"))
