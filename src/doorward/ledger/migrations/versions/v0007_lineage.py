"""Tasks that tasks start: whose child a task is, and which children were promised."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the parent of a task and the table of children."""
    op.add_column("tasks", sa.Column("parent_uid", sa.Text, comment="the task that started this one"))
    op.create_table(
        "children",
        sa.Column("parent_uid", sa.Text, sa.ForeignKey("tasks.uid"), primary_key=True),
        sa.Column("request", sa.Text, primary_key=True, comment="the door's id; makes asking again harmless"),
        sa.Column("name", sa.Text, nullable=False, comment="of the AgentTask that was or will be made"),
        sa.Column("digest", sa.Text, nullable=False, comment="of its spec"),
    )
