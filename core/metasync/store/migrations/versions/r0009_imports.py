"""What an import writes on PostgreSQL: without foreign keys to what is never deleted, like what a synchronisation writes.

The server looked each row up again for each of them. SQLite keeps them: there they cost nothing, and the same code writes both.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

KEYS = {
    "object": ("engagement_id_engagement", "directory_id_directory"),
    "match_key": ("directory_id_directory",),
    "link": ("directory_id_directory",),
    "seen": ("directory_id_directory",),
}


def upgrade() -> None:
    """Take them away."""
    if op.get_bind().dialect.name != "postgresql":
        return
    for table, keys in KEYS.items():
        for key in keys:
            op.drop_constraint(f"fk_{table}_{key}", table, type_="foreignkey")
