"""A migrated database is exactly what the tables say."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, ForeignKeyConstraint, create_engine

from metasync.store import errors, migrations, open_store
from metasync.store.tables import BULK, metadata


def test_a_migrated_database_has_exactly_the_tables_columns_and_indexes_of_the_metadata(database: str) -> None:
    backend = open_store(database)
    with backend.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found = [one for one in compare_metadata(context, metadata) if not _left_out(connection, one)]
    backend.close()
    # Comments are for the reader of tables.py; a database need not have them.
    differences = [one for one in found if not (isinstance(one, list) and {each[0] for each in one} == {"modify_comment"})]
    assert not differences, "tables.py was changed without a revision in store/migrations/versions"


def _left_out(connection: Connection, difference: object) -> bool:
    """A foreign key of bulk rows to what is never deleted: a server has none of them."""
    match difference:
        case ("add_fk", ForeignKeyConstraint() as key):
            bulk = key.table.name in {table.name for table in BULK} and key.elements[0].target_fullname != "identity.id"
            return bulk and connection.dialect.name == "postgresql"
    return False


def test_a_server_has_no_foreign_key_of_bulk_rows_to_what_is_never_deleted(postgres_url: str) -> None:
    backend = open_store(postgres_url)
    query = "SELECT conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint WHERE contype = 'f' AND connamespace = %s"
    with backend.read() as connection:
        schema = connection.exec_driver_sql("SELECT current_schema()::regnamespace::oid").scalar_one()
        found = {(table.strip('"'), other) for table, other in connection.exec_driver_sql(query, (schema,))}
    backend.close()
    of_bulk = {one for one in found if one[0] in {table.name for table in BULK}}
    assert of_bulk == {("join", "identity")} and ("run", "engagement") in found


def test_a_migrated_database_is_made_by_the_very_statements_that_make_the_tables(tmp_path: Path) -> None:
    """Partial indexes and foreign keys, which the comparison above does not see."""
    backend = open_store(str(tmp_path / "metasync.db"))
    engine = create_engine("sqlite://")
    with backend.read() as migrated, engine.connect() as made:
        metadata.create_all(made)
        statements = [
            {
                tuple(sorted(" ".join(part.strip(" ()\n\t").split()) for part in sql.split(",")))
                for sql in connection.exec_driver_sql("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL").scalars()
                if "alembic_version" not in sql and "TRIGGER" not in sql
            }
            for connection in (migrated, made)
        ]
    backend.close()
    engine.dispose()
    assert statements[0] == statements[1], "tables.py was changed without a revision in store/migrations/versions"


def test_the_known_revisions_are_those_that_alembic_finds_in_their_order() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    found = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(found)) == migrations.REVISIONS


def test_a_failed_migration_leaves_nothing_behind(database: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        real = migrations.upgrade

        def fails_at_the_end(connection: object) -> None:
            real(connection)  # type: ignore[arg-type]
            raise OSError("killed")

        patch.setattr(migrations, "upgrade", fails_at_the_end)
        with pytest.raises(OSError, match="killed"):
            open_store(database)
    with pytest.raises(errors.StoreMissing):
        open_store(database, create=False)
    open_store(database).close()


def test_every_text_on_a_server_is_ordered_by_code_points(postgres_url: str) -> None:
    backend = open_store(postgres_url)
    query = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema() AND %s"
    texts = "data_type IN ('text', 'character varying') AND table_name <> 'alembic_version'"
    with backend.read() as connection:
        all_of_them = connection.exec_driver_sql(query % texts).all()
        others = connection.exec_driver_sql(query % f"{texts} AND collation_name IS DISTINCT FROM 'C'").all()
    backend.close()
    assert len(all_of_them) > 50 and not others
