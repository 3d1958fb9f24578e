"""Grants and the answers of people to them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add two tables, and the Grant that a capability rests on."""
    _grants()
    op.create_table(
        "approvals",
        sa.Column("grant_uid", sa.Text, primary_key=True),
        sa.Column("user", sa.Text, primary_key=True),
        sa.Column("decision", sa.Text, nullable=False),
        sa.Column("groups", sa.Text, nullable=False, comment="JSON, as the API server knew them"),
        sa.Column("approval_uid", sa.Text, nullable=False),
        sa.Column("recorded_at", sa.Double, nullable=False),
        sa.Column("refused", sa.Text, comment="code of why it does not count"),
        sa.Column("refusal", sa.Text, comment="the same in words"),
        sa.CheckConstraint("decision IN ('Approve', 'Deny')", name="decision"),
    )
    op.add_column(
        "capabilities",
        sa.Column("grant_uid", sa.Text, comment="of the Grant that people agreed to, where they had to"),
    )


def _grants() -> None:
    texts = ("task_uid", "task", "role", "rule", "connector", "action", "digest")
    op.create_table(
        "grants",
        sa.Column("namespace", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column(
            "uid", sa.Text, unique=True, comment="of the object; none between asking for it and its making"
        ),
        *(sa.Column(name, sa.Text, nullable=False) for name in texts),
        sa.Column(
            "policy_hash", sa.Text, nullable=False, comment="of what was evaluated when people were asked"
        ),
        sa.Column("quorum", sa.Integer, nullable=False),
        sa.Column("max_uses", sa.Integer, nullable=False),
        sa.Column(
            "ttl", sa.Integer, nullable=False, comment="seconds it may be used once enough people agreed"
        ),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("requested_by", sa.Text, nullable=False, comment="who wants the task done"),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("requested_at", sa.Double, nullable=False),
        sa.Column("changed_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False, comment="until when it waits, or may be used"),
        sa.Column("gone_at", sa.Double, comment="since when there is no such object"),
        sa.CheckConstraint(
            "state IN ('pending', 'active', 'exhausted', 'expired', 'denied', 'revoked', 'stale')",
            name="state",
        ),
    )
    op.create_index("ix_grants_task_uid_digest", "grants", ["task_uid", "digest"])
    op.create_index("ix_grants_state", "grants", ["state"])
