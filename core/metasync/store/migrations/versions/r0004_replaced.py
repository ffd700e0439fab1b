"""What gives way to an object of another profile (`replaces:`), beside what is pending for that object."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def words(length: int) -> sa.String:
    """Short text, ordered by code points."""
    return sa.String(length).with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """One row for each object that gives way."""
    op.create_table(
        "pending_replaced",
        sa.Column("engagement_id", ID, nullable=False),
        sa.Column("profile", words(200), nullable=False),
        sa.Column("object_id", ID, autoincrement=False, nullable=False),
        sa.Column("directory_id", ID, nullable=False),
        sa.Column("kind", words(20), nullable=False),
        sa.Column("target_id", ID, nullable=False),
        sa.Column("anchor", TEXT, nullable=False),
        sa.Column("label", TEXT, nullable=False),
        sa.Column("operations", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["engagement_id"], ["engagement.id"], name=op.f("fk_pending_replaced_engagement_id_engagement")),
        sa.ForeignKeyConstraint(["directory_id"], ["directory.id"], name=op.f("fk_pending_replaced_directory_id_directory")),
        sa.PrimaryKeyConstraint("profile", "object_id", name=op.f("pk_pending_replaced")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_pending_replaced_object", "pending_replaced", ["object_id"])
