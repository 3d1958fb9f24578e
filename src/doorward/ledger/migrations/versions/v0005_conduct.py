"""How a task is treated after what it did, and who thawed what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the grade to tasks, and the Thaws."""
    for column in (
        sa.Column("frozen_at", sa.Double),
        sa.Column(
            "grade", sa.Integer, nullable=False, server_default=sa.text("0"), comment="see `core.grade`"
        ),
        sa.Column("cause", sa.Text, comment="what led to the grade, or to its being frozen"),
        sa.Column("story", sa.Text),
        sa.Column("graded_until", sa.Double),
    ):
        op.add_column("tasks", column)
    op.create_table(
        "thaws",
        sa.Column("namespace", sa.Text, primary_key=True),
        sa.Column(
            "name", sa.Text, primary_key=True, comment="a name is good once, whatever becomes of the object"
        ),
        sa.Column("uid", sa.Text, nullable=False, comment="of the Thaw"),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("recorded_at", sa.Double, nullable=False),
    )
