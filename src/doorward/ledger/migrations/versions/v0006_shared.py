"""What several brokers share: proofs that were used, how long a fence holds, signing keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add two tables and a column."""
    op.add_column(
        "sessions",
        sa.Column("fenced_at", sa.Double, comment="since when the latest report of the fence counts"),
    )
    op.create_table(
        "proofs",
        sa.Column("thumbprint", sa.Text, primary_key=True),
        sa.Column("nonce", sa.Text, primary_key=True),
        sa.Column("expires_at", sa.Double, nullable=False, index=True),
    )
    op.create_table(
        "signing_keys",
        sa.Column("kid", sa.Text, primary_key=True),
        sa.Column("statement", sa.Text, nullable=False, comment="the public key, signed as epochs are"),
        sa.Column("published_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
    )
