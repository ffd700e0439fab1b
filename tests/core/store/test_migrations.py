"""A migrated database is exactly what the tables say."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, ForeignKeyConstraint, create_engine, insert, inspect, select

from metasync.store import Backend, directories, errors, match_keys, migrations, open_store
from metasync.store.tables import BULK, engagement, match_key, metadata


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


def made_by(revision: str, database: str) -> Backend:
    """A database as this revision's version made it."""

    def upgrade(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(Path(migrations.__file__).parent))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrations, "HEAD", revision)
        patch.setattr(migrations, "upgrade", upgrade)
        return open_store(database)


def test_match_keys_of_an_older_database_are_kept_and_found_by_the_index_of_their_directory(database: str) -> None:
    former = made_by("0007", database)
    with former.write() as connection:
        connection.execute(insert(engagement).values(name="contoso", created=former.now(connection)))
        directories.ensure(connection, 1, {"one": "csv", "two": "csv"})
        match_keys.insert(former, connection, [(1 + number % 2, number, "mail", f"a{number}") for number in range(20)])
    former.close()
    backend = open_store(database, upgrade=True)
    with backend.read() as connection:
        found = connection.execute(select(match_key.c.directory_id, match_key.c.object_id, match_key.c.name, match_key.c.value)).all()
        assert sorted(tuple(row) for row in found) == sorted((1 + number % 2, number, "mail", f"a{number}") for number in range(20))
        assert {one["name"] for one in inspect(connection).get_indexes("match_key")} == {"ix_match_key_1", "ix_match_key_2"}
    backend.close()


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
