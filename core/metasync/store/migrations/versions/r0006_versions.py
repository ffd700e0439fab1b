"""Versions of objects, where their directory has them. Those that are there have none until they are imported again."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """By an object's version its values need not be looked at where it is the same."""
    op.add_column("object", sa.Column("version", sa.LargeBinary(16), nullable=True))
