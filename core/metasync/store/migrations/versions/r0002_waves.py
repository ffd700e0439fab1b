"""Waves: who stands in which, and how far each person is. Until here nothing was ever written about them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True).with_variant(sa.String(27), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def words(length: int) -> sa.String:
    """Short text, ordered by code points."""
    return sa.String(length).with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """A state for each person, and the files as they were read last."""
    op.drop_table("wave")
    op.create_table(
        "wave",
        sa.Column("engagement_id", ID, nullable=False),
        sa.Column("identity_id", ID, autoincrement=False, nullable=False),
        sa.Column("object_id", ID, nullable=False),
        sa.Column("name", words(200), nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("state", words(20), nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("author", words(200), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("began", TIME, nullable=False),
        sa.ForeignKeyConstraint(["engagement_id"], ["engagement.id"], name=op.f("fk_wave_engagement_id_engagement")),
        sa.PrimaryKeyConstraint("engagement_id", "identity_id", name=op.f("pk_wave")),
    )
    op.create_table(
        "wave_member",
        sa.Column("engagement_id", ID, nullable=False),
        sa.Column("name", words(200), nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("shown", TEXT, nullable=False),
        sa.Column("object_id", ID, nullable=True),
        sa.Column("identity_id", ID, nullable=True),
        sa.Column("code", words(40), nullable=False),
        sa.ForeignKeyConstraint(["engagement_id"], ["engagement.id"], name=op.f("fk_wave_member_engagement_id_engagement")),
        sa.PrimaryKeyConstraint("engagement_id", "name", "key", name=op.f("pk_wave_member")),
    )
