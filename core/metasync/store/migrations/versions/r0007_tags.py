"""Changes without an index of their tags: nothing looks for one but its own plan, and each change of every plan paid for it."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Take it away."""
    op.drop_index("ix_change_tag", table_name="change")
