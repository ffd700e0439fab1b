"""The queue: runs that wait, batches of any step, and what a schedule knows. Whatever was exported stays as it is."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True).with_variant(sa.String(27), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
KEPT = "id, engagement_id, run_id, directory_id, state, nonce, owner, fence, lease_until, due_at, created"


def words(length: int) -> sa.String:
    """Short text, ordered by code points."""
    return sa.String(length).with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """A batch may be of any step; its directory is that of an export."""
    op.add_column("run", sa.Column("options", sa.JSON(), nullable=True))
    op.add_column("run", sa.Column("dispatch", words(20), nullable=True))
    op.add_column("run", sa.Column("queued", TIME, nullable=True))
    op.create_index("ix_run_state", "run", ["engagement_id", "state"], unique=False)
    op.add_column("step", sa.Column("updated", TIME, nullable=True))
    op.add_column("step", sa.Column("batch_id", ID, nullable=True))
    op.add_column("schedule", sa.Column("rule", TEXT, nullable=True))
    op.add_column("schedule", sa.Column("run_id", ID, nullable=True))
    op.execute(f"CREATE TABLE batch_before AS SELECT {KEPT} FROM batch")
    op.drop_table("batch")
    op.create_table(
        "batch",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("engagement_id", ID, nullable=False),
        sa.Column("run_id", ID, nullable=False),
        sa.Column("kind", words(20), nullable=False),
        sa.Column("of", TEXT, nullable=False),
        sa.Column("directory_id", ID, nullable=True),
        sa.Column("state", words(20), nullable=False),
        sa.Column("nonce", words(32), nullable=False),
        sa.Column("owner", words(200), nullable=True),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("lease_until", TIME, nullable=True),
        sa.Column("due_at", TIME, nullable=True),
        sa.Column("nudged", TIME, nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("what", sa.JSON(), nullable=True),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(["directory_id"], ["directory.id"], name=op.f("fk_batch_directory_id_directory")),
        sa.ForeignKeyConstraint(["engagement_id"], ["engagement.id"], name=op.f("fk_batch_engagement_id_engagement")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_batch_run_id_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batch")),
    )
    op.create_index(op.f("ix_batch_run_id"), "batch", ["run_id"], unique=False)
    op.create_index("ix_batch_state", "batch", ["state", "directory_id"], unique=False)
    op.execute(
        f"INSERT INTO batch ({KEPT}, kind, of, attempts) SELECT {KEPT}, 'export', "
        "(SELECT name FROM directory WHERE directory.id = batch_before.directory_id), 0 FROM batch_before"
    )
    op.drop_table("batch_before")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("SELECT setval(pg_get_serial_sequence('batch', 'id'), (SELECT coalesce(max(id), 0) + 1 FROM batch), false)")
