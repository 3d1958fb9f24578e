"""Limits beyond actions: what is uncertain until the outcome, objects that stay open, seats, own time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns with the meaning that the rows had, and the new tables."""
    op.add_column("reservations", sa.Column("unit", sa.Text, nullable=False, server_default="actions"))
    op.add_column(
        "reservations",
        sa.Column(
            "uncertain",
            sa.BigInteger,
            nullable=False,
            server_default="0",
            comment="of the amount, what the outcome may show to be less",
        ),
    )
    op.add_column(
        "reservations",
        sa.Column(
            "kind", sa.Text, nullable=False, server_default="", comment="of the object counted as open"
        ),
    )
    _partial("ix_reservations_unsettled", "reservations", ["decision"], "(uncertain > 0 OR kind <> '')")
    op.add_column("tasks", sa.Column("requester", sa.Text, nullable=False, server_default=""))
    _partial("ix_tasks_present", "tasks", ["namespace", "role", "requester"], "state <> 'ended'")
    _made()
    op.create_table(
        "clock",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column(
            "at", sa.Double, nullable=False, comment="the ledger's own time, which never runs backwards"
        ),
    )


def _made() -> None:
    op.create_table(
        "made",
        sa.Column("decision", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True, comment="of the counter that holds it"),
        sa.Column("connector", sa.Text, nullable=False),
        sa.Column("place", sa.Text, nullable=False, comment="repository"),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
    )
    op.create_index("ix_made_object", "made", ["connector", "place", "kind", "id"])


def _partial(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
