"""The first schema: tasks, sessions, decisions, capabilities, counters, revocations, events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table."""
    _identity()
    _decisions()
    _record()


def _identity() -> None:
    op.create_table(
        "epochs",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("statement", sa.Text, nullable=False, comment="the epoch, signed by the broker"),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column(
            "trusts_after",
            sa.Double,
            nullable=False,
            comment="pods made before this have a past we do not know",
        ),
    )
    op.create_table(
        "tasks",
        sa.Column("uid", sa.Text, primary_key=True),
        sa.Column("namespace", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column(
            "role_snapshot", sa.Text, nullable=False, comment="the role as it was at the first session"
        ),
        sa.Column("pod_uid", sa.Text, nullable=False, comment="the only pod this task ever has"),
        sa.Column("pod_name", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("pinned_at", sa.Double, nullable=False),
        sa.Column("ended_at", sa.Double),
        sa.CheckConstraint("state IN ('live', 'frozen', 'ended')", name="state"),
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("task_uid", sa.Text, sa.ForeignKey("tasks.uid"), nullable=False, index=True),
        sa.Column("thumbprint", sa.Text, nullable=False),
        sa.Column("container_id", sa.Text, nullable=False),
        sa.Column("restarts", sa.Integer, nullable=False),
        sa.Column("peer", sa.Text, nullable=False),
        sa.Column("opened_at", sa.Double, nullable=False),
        sa.Column("closed_at", sa.Double),
        sa.Column("closed_reason", sa.Text),
    )


def _decisions() -> None:
    op.create_table(
        "counters",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column(
            "window", sa.Integer, primary_key=True, autoincrement=False, comment="seconds, 0 counts for ever"
        ),
        sa.Column(
            "bucket", sa.BigInteger, primary_key=True, autoincrement=False, comment="start of this part"
        ),
        sa.Column("used", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, index=True),
    )
    op.create_table(
        "decisions",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("session", sa.Text, sa.ForeignKey("sessions.id"), nullable=False),
        sa.Column("request", sa.Text, nullable=False, comment="the door's id; makes asking again harmless"),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("capability", sa.Text, comment="jti of a yes"),
        sa.Column("denial", sa.Text, comment="JSON of a no"),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("decided_at", sa.Double, nullable=False),
        sa.UniqueConstraint("session", "request"),
    )
    op.create_table(
        "reservations",
        sa.Column("decision", sa.Text, sa.ForeignKey("decisions.id"), primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("window", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("bucket", sa.BigInteger, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
    )
    _capabilities()


def _capabilities() -> None:
    op.create_table(
        "capabilities",
        sa.Column("jti", sa.Text, primary_key=True),
        sa.Column("decision", sa.Text, sa.ForeignKey("decisions.id"), nullable=False),
        sa.Column("session", sa.Text, sa.ForeignKey("sessions.id"), nullable=False, index=True),
        sa.Column("connector", sa.Text, nullable=False),
        sa.Column("audience", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("effect", sa.Text, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("resource", sa.Text, nullable=False, comment="canonical JSON"),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("epoch", sa.Text, nullable=False),
        sa.Column("issued_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("redemption", sa.Text, unique=True),
        sa.Column("redeemer", sa.Text),
        sa.Column("instance", sa.Text),
        sa.Column("nonce", sa.Text),
        sa.Column("redeemed_at", sa.Double),
        sa.Column("execute_by", sa.Double),
        sa.Column("outcome", sa.Text),
        sa.Column("outcome_event", sa.Text),
        sa.Column(
            "outcome_report", sa.Text, comment="digest of what was reported; makes reporting again harmless"
        ),
        sa.CheckConstraint("outcome IN ('succeeded', 'failed', 'unknown')", name="outcome"),
    )
    still_open = sa.text("redemption IS NOT NULL AND outcome IS NULL")
    op.create_index(
        "ix_capabilities_open",
        "capabilities",
        ["execute_by"],
        sqlite_where=still_open,
        postgresql_where=still_open,
    )


def _record() -> None:
    op.create_table(
        "revocations",
        sa.Column("subject", sa.Text, primary_key=True, comment="e.g. task:agents/fix-1, see `subjects_of`"),
        sa.Column("uid", sa.Text, primary_key=True, comment="of the Revocation"),
        sa.Column("latched_at", sa.Double, nullable=False),
    )
    op.create_table(
        "events",
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger, nullable=False, comment="milliseconds since the epoch"),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("task_uid", sa.Text),
        sa.Column(
            "body", sa.Text, nullable=False, comment="canonical JSON, the previous event's hash included"
        ),
        sa.Column("hash", sa.Text, nullable=False, unique=True),
    )
    op.create_index("ix_events_task_uid_seq", "events", ["task_uid", "seq"])
