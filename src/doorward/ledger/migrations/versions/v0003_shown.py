"""What outcomes showed, and the tasks of a role: facts that conditions ask for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column and the index."""
    op.add_column(
        "capabilities",
        sa.Column("shown", sa.Text, comment="JSON of the references that the outcome reported"),
    )
    op.create_index("ix_tasks_namespace_role", "tasks", ["namespace", "role"])
