"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True).with_variant(sa.String(27), "sqlite")


TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def words(length: int) -> sa.String:
    """Short text, ordered by code points."""
    return sa.String(length).with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Every table, and what keeps the audit log from being changed."""
    create_tables()
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_no_{verb.lower()} BEFORE {verb} ON audit "
                f"BEGIN SELECT RAISE(ABORT, 'the audit log can only be added to'); END"
            )
    else:
        op.execute(
            "CREATE FUNCTION audit_only_grows() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'the audit log can only be added to' USING ERRCODE = 'integrity_constraint_violation'; END $$"
        )
        op.execute("CREATE TRIGGER audit_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON audit EXECUTE FUNCTION audit_only_grows()")
        # No query asks for a part of an image, and to read images for the planner's statistics takes long.
        images = op.get_bind().exec_driver_sql(
            "SELECT table_name, column_name FROM information_schema.columns "
            "WHERE table_schema = current_schema() AND data_type IN ('bytea', 'json')"
        )
        for table, column in images.all():
            op.execute(f'ALTER TABLE "{table}" ALTER COLUMN "{column}" SET STATISTICS 0')


def create_tables() -> None:
    """As they stood when this was written."""
    op.create_table(
        "engagement",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("name", words(200), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_engagement")),
        sa.UniqueConstraint("name", name=op.f("uq_engagement_name")),
    )
    op.create_table(
        "lease",
        sa.Column("name", words(200), nullable=False),
        sa.Column("owner", words(200), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("until", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_lease")),
    )
    op.create_table(
        "audit",
        sa.Column("seq", ID, autoincrement=False, nullable=False),
        sa.Column("engagement_id", ID, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("actor", words(200), nullable=False),
        sa.Column("action", words(40), nullable=False),
        sa.Column("subject", TEXT, nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("previous", words(64), nullable=False),
        sa.Column("hash", words(64), nullable=False),
        sa.ForeignKeyConstraint(["engagement_id"], ["engagement.id"], name=op.f("fk_audit_engagement_id_engagement")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit")),
    )
    op.create_table(
        "decision",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("engagement_id", ID, nullable=False),
        sa.Column("decision", words(20), nullable=False),
        sa.Column("directory", words(200), nullable=False),
        sa.Column("anchor", TEXT, nullable=False),
        sa.Column("other_directory", words(200), nullable=True),
        sa.Column("other_anchor", TEXT, nullable=True),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("author", words(200), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["engagement_id"], ["engagement.id"], name=op.f("fk_decision_engagement_id_engagement")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decision")),
    )
    op.create_index("ix_decision_object", "decision", ["engagement_id", "directory", "anchor"], unique=False)
    op.create_table(
        "directory",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("engagement_id", ID, nullable=False),
        sa.Column("name", words(200), nullable=False),
        sa.Column("connector", words(200), nullable=False),
        sa.Column("pinned", TEXT, nullable=True),
        sa.Column("schema", sa.LargeBinary(), nullable=True),
        sa.Column("requested", sa.JSON(), nullable=True),
        sa.Column("keys", sa.JSON(), nullable=True),
        sa.Column("completed", TIME, nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["engagement_id"], ["engagement.id"], name=op.f("fk_directory_engagement_id_engagement")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_directory")),
        sa.UniqueConstraint("engagement_id", "name", name=op.f("uq_directory_engagement_id_name")),
    )
    op.create_table(
        "dirty",
        sa.Column("engagement_id", ID, nullable=False),
        sa.Column("profile", words(200), nullable=False),
        sa.Column("object_id", ID, nullable=False),
        sa.Column("member_id", ID, nullable=False),
        sa.Column("due_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["engagement_id"], ["engagement.id"], name=op.f("fk_dirty_engagement_id_engagement")),
        sa.PrimaryKeyConstraint("profile", "object_id", "member_id", name=op.f("pk_dirty")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "exporter_state",
        sa.Column("engagement_id", ID, nullable=False),
        sa.Column("exporter", words(200), nullable=False),
        sa.Column("pair", words(200), nullable=False),
        sa.Column("state", TEXT, nullable=True),
        sa.ForeignKeyConstraint(["engagement_id"], ["engagement.id"], name=op.f("fk_exporter_state_engagement_id_engagement")),
        sa.PrimaryKeyConstraint("engagement_id", "exporter", "pair", name=op.f("pk_exporter_state")),
    )
    op.create_table(
        "hold",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("engagement_id", ID, nullable=False),
        sa.Column("profile", words(200), nullable=False),
        sa.Column("object_id", ID, nullable=False),
        sa.Column("attribute", TEXT, nullable=False),
        sa.Column("run_id", ID, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["engagement_id"], ["engagement.id"], name=op.f("fk_hold_engagement_id_engagement")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hold")),
        sa.UniqueConstraint("profile", "object_id", "attribute", name=op.f("uq_hold_profile_object_id_attribute")),
    )
    op.create_table(
        "identity",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("engagement_id", ID, nullable=False),
        sa.Column("kind", words(20), nullable=False),
        sa.ForeignKeyConstraint(["engagement_id"], ["engagement.id"], name=op.f("fk_identity_engagement_id_engagement")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity")),
    )
    op.create_table(
        "pending_member",
        sa.Column("engagement_id", ID, nullable=False),
        sa.Column("profile", words(200), nullable=False),
        sa.Column("object_id", ID, nullable=False),
        sa.Column("member_key", TEXT, nullable=False),
        sa.Column("member_created", sa.Boolean(), nullable=False),
        sa.Column("attribute", TEXT, nullable=False),
        sa.Column("operation", words(20), nullable=False),
        sa.Column("label", TEXT, nullable=False),
        sa.Column("rule", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["engagement_id"], ["engagement.id"], name=op.f("fk_pending_member_engagement_id_engagement")),
    )
    op.create_index("uq_pending_member", "pending_member", ["profile", "object_id", "attribute", "member_key"], unique=True)
    op.create_table(
        "plan",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("engagement_id", ID, nullable=False),
        sa.Column("profile", words(200), nullable=False),
        sa.Column("purpose", words(20), nullable=False),
        sa.Column("run_id", ID, nullable=False),
        sa.Column("state", words(20), nullable=False),
        sa.Column("hash", words(64), nullable=False),
        sa.Column("configuration", words(64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("joined", sa.Integer(), nullable=False),
        sa.Column("exceeded", sa.JSON(), nullable=False),
        sa.Column("undoes", ID, nullable=True),
        sa.Column("note", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["engagement_id"], ["engagement.id"], name=op.f("fk_plan_engagement_id_engagement")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plan")),
    )
    op.create_table(
        "problem",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("engagement_id", ID, nullable=False),
        sa.Column("area", words(20), nullable=False),
        sa.Column("of", words(200), nullable=False),
        sa.Column("object_id", ID, nullable=False),
        sa.Column("anchor", TEXT, nullable=False),
        sa.Column("attribute", TEXT, nullable=False),
        sa.Column("code", words(40), nullable=False),
        sa.Column("text", TEXT, nullable=False),
        sa.Column("severity", words(10), nullable=False),
        sa.Column("run_id", ID, nullable=True),
        sa.Column("since", TIME, nullable=False),
        sa.ForeignKeyConstraint(["engagement_id"], ["engagement.id"], name=op.f("fk_problem_engagement_id_engagement")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_problem")),
    )
    op.create_index("ix_problem_object", "problem", ["engagement_id", "area", "of", "object_id"], unique=False)
    op.create_index("ix_problem_severity", "problem", ["engagement_id", "severity", "id"], unique=False)
    op.create_table(
        "profile_state",
        sa.Column("engagement_id", ID, nullable=False),
        sa.Column("profile", words(200), nullable=False),
        sa.Column("basis", words(64), nullable=False),
        sa.Column("reference_basis", words(64), nullable=False),
        sa.ForeignKeyConstraint(["engagement_id"], ["engagement.id"], name=op.f("fk_profile_state_engagement_id_engagement")),
        sa.PrimaryKeyConstraint("engagement_id", "profile", name=op.f("pk_profile_state")),
    )
    op.create_table(
        "revision",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("engagement_id", ID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("path", TEXT, nullable=False),
        sa.Column("document", TEXT, nullable=False),
        sa.Column("digest", words(64), nullable=False),
        sa.Column("configurations", sa.JSON(), nullable=False),
        sa.Column("author", words(200), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.ForeignKeyConstraint(["engagement_id"], ["engagement.id"], name=op.f("fk_revision_engagement_id_engagement")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_revision")),
        sa.UniqueConstraint("engagement_id", "number", name=op.f("uq_revision_engagement_id_number")),
    )
    op.create_table(
        "run",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("engagement_id", ID, nullable=False),
        sa.Column("kind", words(20), nullable=False),
        sa.Column("state", words(20), nullable=False),
        sa.Column("what", sa.JSON(), nullable=False),
        sa.Column("author", words(200), nullable=False),
        sa.Column("started", TIME, nullable=False),
        sa.Column("finished", TIME, nullable=True),
        sa.Column("stop", sa.Boolean(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("error", TEXT, nullable=True),
        sa.ForeignKeyConstraint(["engagement_id"], ["engagement.id"], name=op.f("fk_run_engagement_id_engagement")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
    )
    op.create_index(op.f("ix_run_engagement_id"), "run", ["engagement_id"], unique=False)
    op.create_table(
        "schedule",
        sa.Column("engagement_id", ID, nullable=False),
        sa.Column("profile", words(200), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("next", TIME, nullable=True),
        sa.ForeignKeyConstraint(["engagement_id"], ["engagement.id"], name=op.f("fk_schedule_engagement_id_engagement")),
        sa.PrimaryKeyConstraint("engagement_id", "profile", name=op.f("pk_schedule")),
    )
    op.create_table(
        "secret",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("engagement_id", ID, nullable=False),
        sa.Column("name", words(200), nullable=False),
        sa.Column("key_id", words(64), nullable=False),
        sa.Column("nonce", sa.LargeBinary(), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.Column("changed", TIME, nullable=False),
        sa.ForeignKeyConstraint(["engagement_id"], ["engagement.id"], name=op.f("fk_secret_engagement_id_engagement")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_secret")),
        sa.UniqueConstraint("engagement_id", "name", name=op.f("uq_secret_engagement_id_name")),
    )
    op.create_table(
        "sync_state",
        sa.Column("engagement_id", ID, nullable=False),
        sa.Column("profile", words(200), nullable=False),
        sa.Column("object_id", ID, nullable=False),
        sa.Column("digest", sa.LargeBinary(length=16), nullable=False),
        sa.Column("target", sa.LargeBinary(length=16), nullable=True),
        sa.Column("computed", sa.LargeBinary(length=16), nullable=True),
        sa.Column("status", words(30), nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=True),
        sa.Column("desired", sa.LargeBinary(length=16), nullable=True),
        sa.Column("left_cause", words(20), nullable=True),
        sa.Column("left_since", TIME, nullable=True),
        sa.Column("run_id", ID, nullable=True),
        sa.ForeignKeyConstraint(["engagement_id"], ["engagement.id"], name=op.f("fk_sync_state_engagement_id_engagement")),
        sa.PrimaryKeyConstraint("profile", "object_id", name=op.f("pk_sync_state")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_sync_state_status", "sync_state", ["engagement_id", "profile", "status"], unique=False)
    op.create_table(
        "wave",
        sa.Column("engagement_id", ID, nullable=False),
        sa.Column("name", words(200), nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("state", words(20), nullable=False),
        sa.ForeignKeyConstraint(["engagement_id"], ["engagement.id"], name=op.f("fk_wave_engagement_id_engagement")),
        sa.PrimaryKeyConstraint("engagement_id", "name", "key", name=op.f("pk_wave")),
    )
    op.create_table(
        "approval",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("engagement_id", ID, nullable=False),
        sa.Column("plan_id", ID, nullable=False),
        sa.Column("profile", words(200), nullable=False),
        sa.Column("hash", words(64), nullable=False),
        sa.Column("configuration", words(64), nullable=False),
        sa.Column("beyond", sa.JSON(), nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("author", words(200), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["engagement_id"], ["engagement.id"], name=op.f("fk_approval_engagement_id_engagement")),
        sa.ForeignKeyConstraint(["plan_id"], ["plan.id"], name=op.f("fk_approval_plan_id_plan")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approval")),
    )
    op.create_index(op.f("ix_approval_plan_id"), "approval", ["plan_id"], unique=False)
    op.create_table(
        "batch",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("engagement_id", ID, nullable=False),
        sa.Column("run_id", ID, nullable=False),
        sa.Column("directory_id", ID, nullable=False),
        sa.Column("state", words(20), nullable=False),
        sa.Column("nonce", words(32), nullable=False),
        sa.Column("owner", words(200), nullable=True),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("lease_until", TIME, nullable=True),
        sa.Column("due_at", TIME, nullable=True),
        sa.Column("created", TIME, nullable=False),
        sa.ForeignKeyConstraint(["directory_id"], ["directory.id"], name=op.f("fk_batch_directory_id_directory")),
        sa.ForeignKeyConstraint(["engagement_id"], ["engagement.id"], name=op.f("fk_batch_engagement_id_engagement")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_batch_run_id_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batch")),
    )
    op.create_index("ix_batch_state", "batch", ["state", "directory_id"], unique=False)
    op.create_table(
        "change",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("engagement_id", ID, nullable=False),
        sa.Column("plan_id", ID, nullable=False),
        sa.Column("run_id", ID, nullable=True),
        sa.Column("batch_id", ID, nullable=True),
        sa.Column("profile", words(200), nullable=False),
        sa.Column("object_id", ID, nullable=False),
        sa.Column("identity_id", ID, nullable=True),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("directory_id", ID, nullable=False),
        sa.Column("kind", words(20), nullable=False),
        sa.Column("target_id", ID, nullable=True),
        sa.Column("anchor", TEXT, nullable=True),
        sa.Column("label", TEXT, nullable=False),
        sa.Column("operation", words(20), nullable=False),
        sa.Column("stage", sa.Integer(), nullable=False),
        sa.Column("before", sa.LargeBinary(), nullable=False),
        sa.Column("after", sa.LargeBinary(), nullable=False),
        sa.Column("rules", sa.JSON(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("tag", words(32), nullable=False),
        sa.Column("state", words(20), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("due_at", TIME, nullable=True),
        sa.Column("error", TEXT, nullable=True),
        sa.Column("written_at", TIME, nullable=True),
        sa.Column("confirmed_run", ID, nullable=True),
        sa.Column("undone_by", ID, nullable=True),
        sa.ForeignKeyConstraint(["directory_id"], ["directory.id"], name=op.f("fk_change_directory_id_directory")),
        sa.ForeignKeyConstraint(["engagement_id"], ["engagement.id"], name=op.f("fk_change_engagement_id_engagement")),
        sa.ForeignKeyConstraint(["plan_id"], ["plan.id"], name=op.f("fk_change_plan_id_plan")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_change")),
    )
    op.create_index(
        "ix_change_anchor",
        "change",
        ["directory_id", "anchor"],
        unique=False,
        sqlite_where=sa.text("anchor IS NOT NULL"),
        postgresql_where=sa.text("anchor IS NOT NULL"),
    )
    op.create_index("ix_change_order", "change", ["plan_id", "id"], unique=False)
    op.create_index("ix_change_plan", "change", ["plan_id", "state", "stage", "id"], unique=False)
    op.create_index(
        "ix_change_run",
        "change",
        ["run_id", "object_id", "id"],
        unique=False,
        sqlite_where=sa.text("run_id IS NOT NULL"),
        postgresql_where=sa.text("run_id IS NOT NULL"),
    )
    op.create_index("ix_change_source", "change", ["profile", "object_id", "state", "run_id", "id"], unique=False)
    op.create_index("ix_change_state", "change", ["directory_id", "state", "anchor", "id"], unique=False)
    op.create_index("ix_change_tag", "change", ["tag"], unique=False)
    op.create_index(
        "ix_change_target",
        "change",
        ["directory_id", "target_id", "state"],
        unique=False,
        sqlite_where=sa.text("target_id IS NOT NULL"),
        postgresql_where=sa.text("target_id IS NOT NULL"),
    )
    op.create_index(
        "ix_change_undone",
        "change",
        ["undone_by"],
        unique=False,
        sqlite_where=sa.text("undone_by IS NOT NULL"),
        postgresql_where=sa.text("undone_by IS NOT NULL"),
    )
    op.create_table(
        "cursor",
        sa.Column("engagement_id", ID, nullable=False),
        sa.Column("directory_id", ID, nullable=False),
        sa.Column("stream", words(200), nullable=False),
        sa.Column("cursor", TEXT, nullable=True),
        sa.Column("resume", TEXT, nullable=True),
        sa.Column("resume_generation", sa.Integer(), nullable=True),
        sa.Column("taken", TIME, nullable=True),
        sa.ForeignKeyConstraint(["directory_id"], ["directory.id"], name=op.f("fk_cursor_directory_id_directory")),
        sa.ForeignKeyConstraint(["engagement_id"], ["engagement.id"], name=op.f("fk_cursor_engagement_id_engagement")),
        sa.PrimaryKeyConstraint("directory_id", "stream", name=op.f("pk_cursor")),
    )
    op.create_table(
        "join",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("engagement_id", ID, nullable=False),
        sa.Column("identity_id", ID, nullable=False),
        sa.Column("directory_id", ID, nullable=False),
        sa.Column("kind", words(20), nullable=False),
        sa.Column("anchor", TEXT, nullable=False),
        sa.Column("object_id", ID, nullable=True),
        sa.Column("profile", words(200), nullable=True),
        sa.Column("rule", TEXT, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("run_id", ID, nullable=True),
        sa.Column("author", words(200), nullable=False),
        sa.Column("created", sa.Boolean(), nullable=False),
        sa.Column("done", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(["directory_id"], ["directory.id"], name=op.f("fk_join_directory_id_directory")),
        sa.ForeignKeyConstraint(["engagement_id"], ["engagement.id"], name=op.f("fk_join_engagement_id_engagement")),
        sa.ForeignKeyConstraint(["identity_id"], ["identity.id"], name=op.f("fk_join_identity_id_identity")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_join")),
        sa.UniqueConstraint("directory_id", "anchor", name=op.f("uq_join_directory_id_anchor")),
        sa.UniqueConstraint("identity_id", "directory_id", "kind", name=op.f("uq_join_identity_id_directory_id_kind")),
    )
    op.create_index(op.f("ix_join_object_id"), "join", ["object_id"], unique=False)
    op.create_index(
        "ix_join_provisional",
        "join",
        ["directory_id"],
        unique=False,
        sqlite_where=sa.text("object_id IS NULL"),
        postgresql_where=sa.text("object_id IS NULL"),
    )
    op.create_table(
        "link",
        sa.Column("directory_id", ID, nullable=False),
        sa.Column("object_id", ID, nullable=False),
        sa.Column("attribute", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.Column("target_id", ID, nullable=True),
        sa.ForeignKeyConstraint(["directory_id"], ["directory.id"], name=op.f("fk_link_directory_id_directory")),
        sa.PrimaryKeyConstraint("object_id", "attribute", "key", "value", name=op.f("pk_link")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_link_target",
        "link",
        ["target_id", "attribute"],
        unique=False,
        sqlite_where=sa.text("target_id IS NOT NULL"),
        postgresql_where=sa.text("target_id IS NOT NULL"),
    )
    op.create_index("ix_link_value", "link", ["directory_id", "key", "value"], unique=False)
    op.create_table(
        "match_key",
        sa.Column("directory_id", ID, nullable=False),
        sa.Column("object_id", ID, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["directory_id"], ["directory.id"], name=op.f("fk_match_key_directory_id_directory")),
        sa.PrimaryKeyConstraint("directory_id", "name", "value", "object_id", name=op.f("pk_match_key")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_match_key_object", "match_key", ["object_id"], unique=False)
    op.create_table(
        "object",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("engagement_id", ID, nullable=False),
        sa.Column("directory_id", ID, nullable=False),
        sa.Column("kind", words(20), nullable=False),
        sa.Column("anchor", TEXT, nullable=False),
        sa.Column("label", TEXT, nullable=False),
        sa.Column("state", words(10), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=16), nullable=False),
        sa.Column("blob", sa.LargeBinary(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("mark", words(64), nullable=True),
        sa.Column("privileged", sa.Boolean(), nullable=False),
        sa.Column("run_id", ID, nullable=True),
        sa.ForeignKeyConstraint(["directory_id"], ["directory.id"], name=op.f("fk_object_directory_id_directory")),
        sa.ForeignKeyConstraint(["engagement_id"], ["engagement.id"], name=op.f("fk_object_engagement_id_engagement")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_object")),
    )
    op.create_index(
        "uq_object_anchor_0",
        "object",
        ["anchor"],
        unique=True,
        sqlite_where=sa.text("directory_id = 0"),
        postgresql_where=sa.text("directory_id = 0"),
    )
    op.create_table(
        "pending",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("engagement_id", ID, nullable=False),
        sa.Column("profile", words(200), nullable=False),
        sa.Column("object_id", ID, nullable=False),
        sa.Column("identity_id", ID, nullable=True),
        sa.Column("directory_id", ID, nullable=False),
        sa.Column("kind", words(20), nullable=False),
        sa.Column("target_id", ID, nullable=True),
        sa.Column("anchor", TEXT, nullable=True),
        sa.Column("label", TEXT, nullable=False),
        sa.Column("operations", sa.LargeBinary(), nullable=False),
        sa.Column("reference_operations", sa.LargeBinary(), nullable=True),
        sa.Column("run_id", ID, nullable=True),
        sa.ForeignKeyConstraint(["directory_id"], ["directory.id"], name=op.f("fk_pending_directory_id_directory")),
        sa.ForeignKeyConstraint(["engagement_id"], ["engagement.id"], name=op.f("fk_pending_engagement_id_engagement")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pending")),
        sa.UniqueConstraint("profile", "object_id", name=op.f("uq_pending_profile_object_id")),
    )
    op.create_index("ix_pending_object", "pending", ["object_id"], unique=False)
    op.create_index(
        "ix_pending_target",
        "pending",
        ["target_id"],
        unique=False,
        sqlite_where=sa.text("target_id IS NOT NULL"),
        postgresql_where=sa.text("target_id IS NOT NULL"),
    )
    op.create_table(
        "pin",
        sa.Column("engagement_id", ID, nullable=False),
        sa.Column("profile", words(200), nullable=False),
        sa.Column("path", TEXT, nullable=False),
        sa.Column("directory_id", ID, nullable=False),
        sa.Column("anchor", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["directory_id"], ["directory.id"], name=op.f("fk_pin_directory_id_directory")),
        sa.ForeignKeyConstraint(["engagement_id"], ["engagement.id"], name=op.f("fk_pin_engagement_id_engagement")),
        sa.PrimaryKeyConstraint("engagement_id", "profile", "path", name=op.f("pk_pin")),
    )
    op.create_table(
        "reserved",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("engagement_id", ID, nullable=False),
        sa.Column("directory_id", ID, nullable=False),
        sa.Column("attribute", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.Column("shown", TEXT, nullable=False),
        sa.Column("base", TEXT, nullable=False),
        sa.Column("identity_id", ID, nullable=False),
        sa.Column("profile", words(200), nullable=False),
        sa.Column("released", TIME, nullable=True),
        sa.ForeignKeyConstraint(["directory_id"], ["directory.id"], name=op.f("fk_reserved_directory_id_directory")),
        sa.ForeignKeyConstraint(["engagement_id"], ["engagement.id"], name=op.f("fk_reserved_engagement_id_engagement")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reserved")),
        sa.UniqueConstraint("directory_id", "attribute", "value", name=op.f("uq_reserved_directory_id_attribute_value")),
    )
    op.create_index("ix_reserved_identity", "reserved", ["identity_id", "directory_id", "attribute"], unique=False)
    op.create_table(
        "seen",
        sa.Column("directory_id", ID, nullable=False),
        sa.Column("object_id", ID, nullable=False),
        sa.ForeignKeyConstraint(["directory_id"], ["directory.id"], name=op.f("fk_seen_directory_id_directory")),
    )
    op.create_index("uq_seen", "seen", ["directory_id", "object_id"], unique=True)
    op.create_table(
        "step",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("run_id", ID, nullable=False),
        sa.Column("name", words(20), nullable=False),
        sa.Column("of", words(200), nullable=False),
        sa.Column("state", words(20), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=True),
        sa.Column("started", TIME, nullable=False),
        sa.Column("finished", TIME, nullable=True),
        sa.Column("text", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_step_run_id_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_step")),
    )
    op.create_index(op.f("ix_step_run_id"), "step", ["run_id"], unique=False)
    op.create_table(
        "wanted",
        sa.Column("engagement_id", ID, nullable=False),
        sa.Column("profile", words(200), nullable=False),
        sa.Column("object_id", ID, nullable=False),
        sa.Column("directory_id", ID, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["engagement_id"], ["engagement.id"], name=op.f("fk_wanted_engagement_id_engagement")),
        sa.ForeignKeyConstraint(["directory_id"], ["directory.id"], name=op.f("fk_wanted_directory_id_directory")),
        sa.PrimaryKeyConstraint("directory_id", "name", "value", "profile", "object_id", name=op.f("pk_wanted")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_wanted_object", "wanted", ["object_id", "profile"], unique=False)
    # ### end Alembic commands ###
