"""Match keys lie with those of the same object, and are found by an index of each directory's own, which is built after its first load.

Until now every key of a first load went to two random places, which took most of the time that a database in a file needed for it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """In another order, and each directory's index beside it."""
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        op.drop_index("ix_match_key_object", table_name="match_key")
        op.drop_constraint("pk_match_key", "match_key", type_="primary")
        op.create_primary_key("pk_match_key", "match_key", ["object_id", "name", "value"])
    else:
        op.rename_table("match_key", "former_match_key")
        op.create_table(
            "match_key",
            sa.Column("object_id", ID, nullable=False),
            sa.Column("name", TEXT, nullable=False),
            sa.Column("value", TEXT, nullable=False),
            sa.Column("directory_id", ID, nullable=False),
            sa.ForeignKeyConstraint(["directory_id"], ["directory.id"], name=op.f("fk_match_key_directory_id_directory")),
            sa.PrimaryKeyConstraint("object_id", "name", "value", name=op.f("pk_match_key")),
            sqlite_with_rowid=False,
        )
        op.execute(
            "INSERT INTO match_key (directory_id, object_id, name, value) "
            "SELECT directory_id, object_id, name, value FROM former_match_key ORDER BY object_id, name, value"
        )
        op.drop_table("former_match_key")
    for number in connection.execute(sa.text("SELECT id FROM directory")).scalars().all():
        op.execute(f"CREATE INDEX ix_match_key_{number} ON match_key (name, value, object_id, directory_id) WHERE directory_id = {number}")
