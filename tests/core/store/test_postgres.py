"""A database on a server: what is refused, what is said, and what happens when the server goes away."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from lab.postgres import Cluster
from sqlalchemy import Connection, Engine, event, insert, select

from metasync.contract import MetasyncError
from metasync.engagement.secrets import known_secrets
from metasync.lease import Lease
from metasync.opening import Settings, store
from metasync.service import Trouble, trouble
from metasync.store import Backend, errors, match_keys, open_store
from metasync.store import postgres as module
from metasync.store.tables import engagement, identity


@pytest.fixture
def backend(postgres_url: str) -> Iterator[Backend]:
    with closing(open_store(postgres_url)) as opened:
        yield opened


def add(backend: Backend, name: str, *, durable: bool = False) -> None:
    with backend.write(durable=durable) as connection:
        connection.execute(insert(engagement).values(name=name, created=backend.now(connection)))


def names(backend: Backend) -> list[str]:
    with backend.read() as connection:
        return list(connection.execute(select(engagement.c.name).order_by(engagement.c.id)).scalars())


def word(url: str) -> str:
    """The password in a URL of the lab."""
    return url.partition("metasync:")[2].partition("@")[0]


# --- what is refused -------------------------------------------------------------------------------------------------------------------


def test_the_password_stands_in_no_message_and_not_in_the_name_of_the_database(postgres: Cluster, postgres_url: str) -> None:
    password = word(postgres_url)
    with closing(open_store(postgres_url)) as backend:
        assert password not in backend.url and backend.url.startswith("postgresql://metasync@127.0.0.1:")
    wrong = postgres_url.replace(password, "wrong-word")
    for url in (wrong, postgres.url("nowhere"), postgres_url.replace(f":{postgres.port}/", ":1/"), f"mysql://me:{password}@db/x"):
        with pytest.raises(errors.StoreError) as caught:
            open_store(url)
        assert password not in str(caught.value) and "wrong-word" not in str(caught.value)


def test_the_password_is_known_as_a_secret_before_anything_can_go_wrong(tmp_path: Path) -> None:
    url = "postgresql://me:kept-out-of-every-log@127.0.0.1:1/x"
    with pytest.raises(errors.Unreachable), store(Settings(engagement=tmp_path / "x.yaml", database=url), create=True):
        raise AssertionError("not reached")
    assert "kept-out-of-every-log" in known_secrets()


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        (("/empty", "/nowhere_"), errors.StoreMissing, "createdb"),
        (("metasync:", "anna:"), errors.StoreError, "refused the login"),
    ],
)
def test_what_is_wrong_with_the_url_is_said(postgres_url: str, change: tuple[str, str], kind: type[errors.StoreError], said: str) -> None:
    with pytest.raises(kind, match=said):
        open_store(postgres_url.replace(*change))


def test_a_server_that_cannot_be_reached_is_no_error_of_ours(postgres: Cluster, postgres_url: str) -> None:
    with pytest.raises(errors.Unreachable, match="cannot be reached") as caught:
        open_store(postgres_url.replace(f":{postgres.port}/", ":1/"))
    assert trouble(caught.value) is Trouble.UNAVAILABLE


def test_a_database_of_another_program_is_refused_and_left_alone(postgres: Cluster) -> None:
    url = postgres.database("wiki")
    postgres.psql("CREATE TABLE page (title text)", "wiki")
    with pytest.raises(errors.NotOurs, match="another program"):
        open_store(url)
    assert postgres.psql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", "wiki") == "1"


def test_so_is_one_whose_schema_is_kept_by_alembic_for_another_program(postgres: Cluster) -> None:
    url = postgres.database("shop")
    postgres.psql("CREATE TABLE alembic_version (version_num text)", "shop")
    postgres.psql("INSERT INTO alembic_version VALUES ('0001')", "shop")
    with pytest.raises(errors.NotOurs, match="another program"):
        open_store(url)


def test_a_database_in_another_encoding_is_refused(postgres: Cluster) -> None:
    postgres.psql("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' LOCALE_PROVIDER libc TEMPLATE template0")
    with pytest.raises(errors.StoreError, match="LATIN1"):
        open_store(postgres.url("latin"))


def test_a_user_who_may_not_write_is_told_so(postgres: Cluster, postgres_url: str) -> None:
    open_store(postgres_url).close()
    database = postgres_url.rpartition("/")[2]
    postgres.psql(f"CREATE ROLE reader_{database} LOGIN PASSWORD 'reading-only'")
    postgres.psql(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader_{database}", database)
    url = postgres_url.replace(f"metasync:{word(postgres_url)}", f"reader_{database}:reading-only")
    with closing(open_store(url)) as backend, pytest.raises(errors.StoreError, match="may not do this"):
        add(backend, "one")


def test_a_read_only_database_is_told_so(postgres: Cluster, postgres_url: str) -> None:
    open_store(postgres_url).close()
    postgres.psql(f"ALTER DATABASE {postgres_url.rpartition('/')[2]} SET default_transaction_read_only = on")
    with closing(open_store(postgres_url)) as backend, pytest.raises(errors.StoreError, match="can only be read"):
        add(backend, "one")


# --- one writer, many readers ----------------------------------------------------------------------------------------------------------


def test_a_second_process_waits_for_the_first_and_says_so_when_that_takes_too_long(
    backend: Backend, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(module.SETTINGS, "lock_timeout", "100ms")
    with closing(open_store(postgres_url)) as other:
        with backend.write() as connection:
            connection.execute(insert(engagement).values(name="one", created=backend.now(connection)))
            assert names(other) == []
            with pytest.raises(errors.Busy) as caught:
                add(other, "two")
        assert trouble(caught.value) is Trouble.UNAVAILABLE
        add(other, "three")
        assert names(backend) == ["one", "three"]


def test_a_process_that_stands_still_in_a_transaction_does_not_keep_others_from_writing(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        with monkeypatch.context() as patch:
            # Of the one that stands still alone, and far more than a busy machine lets anybody wait between two statements.
            patch.setitem(module.SETTINGS, "idle_in_transaction_session_timeout", "3s")
            frozen = stack.enter_context(closing(open_store(postgres_url)))
        other = stack.enter_context(closing(open_store(postgres_url)))
        with pytest.raises(errors.Unreachable), frozen.write() as connection:
            connection.execute(insert(engagement).values(name="frozen", created=frozen.now(connection)))
            add(other, "other")
            frozen.now(connection)
        assert names(other) == ["other"]
        add(frozen, "thawed")
        assert names(other) == ["other", "thawed"]


# --- the server goes away --------------------------------------------------------------------------------------------------------------


def test_what_was_committed_is_there_after_ten_kills_and_the_pool_recovers(own_postgres: Cluster) -> None:
    """Five times SIGKILL, five times an immediate stop, each in the middle of somebody's transaction."""
    with closing(open_store(own_postgres.database("metasync"))) as backend:
        committed = []
        for number in range(10):
            add(backend, f"before {number}", durable=True)
            committed.append(f"before {number}")
            with pytest.raises(errors.Unreachable, match="cannot be reached"), backend.write(durable=True) as connection:
                connection.execute(insert(engagement).values(name=f"cut {number}", created=backend.now(connection)))
                if number % 2:
                    own_postgres.stop("immediate")
                else:
                    own_postgres.kill()
                own_postgres.start()
                backend.now(connection)
            assert names(backend) == committed
        assert backend.verify() == []


def test_i1_what_an_import_stored_is_there_too_when_the_server_comes_back(own_postgres: Cluster) -> None:
    """Whoever stored it lives on: were it gone, the rest of the import, and its cursor, would be stored without it."""
    with closing(open_store(own_postgres.database("metasync"))) as backend:
        for number in range(5):
            add(backend, f"page {number}")
            own_postgres.stop("immediate")
            own_postgres.start()
            assert names(backend) == [f"page {one}" for one in range(number + 1)]


def test_a_server_that_is_being_restarted_is_waited_for(own_postgres: Cluster) -> None:
    with closing(open_store(own_postgres.database("metasync"))) as backend:
        own_postgres.stop()
        back = threading.Timer(1.0, own_postgres.start)
        back.start()
        add(backend, "patient")
        back.join()
        assert names(backend) == ["patient"]


def test_but_not_for_ever(own_postgres: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETURN_SECONDS", 0.5)
    with closing(open_store(own_postgres.database("metasync"))) as backend:
        own_postgres.stop()
        with pytest.raises(MetasyncError, match="Run again once the server answers"):
            names(backend)


def test_nor_by_whoever_is_asked_to_leave_meanwhile(own_postgres: Cluster) -> None:
    class Leaving(threading.Event):
        """Set after it was waited for three times."""

        waits = 0

        def wait(self, timeout: float | None = None) -> bool:
            self.waits += 1
            if self.waits == 3:
                self.set()
            return super().wait(timeout)

    with closing(open_store(own_postgres.database("metasync"))) as backend:
        leaving = Leaving()
        own_postgres.stop()
        with pytest.raises(MetasyncError, match="Run again once the server answers"):
            names(backend.until(leaving))
        assert leaving.waits == 3
        back = threading.Timer(0.5, own_postgres.start)
        back.start()
        assert names(backend) == [], "whoever has something to record waits all the same"
        back.join()


def test_a_lease_is_given_back_at_once_by_whoever_waited_for_the_server_in_vain(
    own_postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        time.sleep(seconds)

    monkeypatch.setattr(module, "RETURN_SECONDS", 1)
    monkeypatch.setattr(module, "time", SimpleNamespace(sleep=sleep, monotonic=time.monotonic))
    waited = 0
    with closing(open_store(own_postgres.database("metasync"))) as backend:
        with pytest.raises(MetasyncError, match="cannot be reached"), Lease(backend, "outer"), Lease(backend, "inner"):
            own_postgres.stop()
            try:
                names(backend)
            finally:
                waited = len(slept)
        assert len(slept) == waited > 0, "once for what was to be done, and not once more for each lease"


def test_a_server_that_stands_still_is_waited_for(own_postgres: Cluster) -> None:
    with closing(open_store(own_postgres.database("metasync"))) as backend:
        add(backend, "one")
        thawed: list[float] = []

        def thaw() -> None:
            thawed.append(time.monotonic())
            own_postgres.thaw()

        own_postgres.freeze()
        timer = threading.Timer(2.0, thaw)
        timer.start()
        add(backend, "two", durable=True)
        assert thawed, "nothing was answered while it stood still"
        timer.join()
        assert names(backend) == ["one", "two"]


def test_a_damaged_page_is_found_by_verify(own_postgres: Cluster) -> None:
    url = own_postgres.database("metasync")
    with closing(open_store(url)) as backend:
        for number in range(300):
            add(backend, f"engagement {number} " + "x" * 50)
    own_postgres.psql("CHECKPOINT", "metasync")
    file = own_postgres.folder / "data" / own_postgres.psql("SELECT pg_relation_filepath('engagement')", "metasync")
    own_postgres.stop()
    with file.open("r+b") as content:
        content.seek(8192 + 4000)
        content.write(b"\xff" * 64)
    own_postgres.start()
    with closing(open_store(url)) as backend:
        assert any("damaged" in one for one in backend.verify())


def test_without_the_driver_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.delitem(sys.modules, "metasync.store.postgres")
    psycopg: Any = None
    monkeypatch.setitem(sys.modules, "psycopg", psycopg)
    with pytest.raises(errors.StoreError, match=r"metasync\[postgresql\]"):
        open_store("postgresql://me@127.0.0.1:1/x")


# --- its planner -----------------------------------------------------------------------------------------------------------------------


def test_the_planner_learns_of_a_table_that_was_just_filled(postgres_url: str) -> None:
    columns = ("engagement_id", "kind")
    with closing(open_store(postgres_url)) as backend:
        add(backend, "large")
        with backend.write() as connection:
            (number,) = connection.execute(select(engagement.c.id)).scalars()
            backend.insert(connection, identity, columns, ((number, "user") for _ in range(2000)))
            # The server tells what it counted at most once a second, and to others later.
            connection.exec_driver_sql("SELECT pg_stat_force_next_flush()")
        assert seen(backend, "identity") == set()
        backend.gather_statistics()
        assert seen(backend, "identity") == {"id", "engagement_id", "kind"}
        backend.gather_statistics()
        assert seen(backend, "engagement") == set(), "one row more changes no plan"
        with backend.read() as connection:
            counted = "SELECT analyze_count FROM pg_stat_user_tables WHERE relname = 'identity'"
            assert connection.exec_driver_sql(counted).scalar_one() == 1, "what did not grow since is not looked at again"


def test_several_who_let_it_learn_at_once_do_so_in_one_order(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each locks what it looked at until its end: in other orders two of them would wait for each other."""
    monkeypatch.setattr(module, "GROWN", "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY random()")
    looked: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("ANALYZE"):
            looked.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        with closing(open_store(postgres_url)) as backend:
            backend.gather_statistics()
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert len(looked) > 20 and looked == sorted(looked)


def test_no_statistics_are_kept_of_images(postgres_url: str) -> None:
    asked = "SELECT attname FROM pg_attribute WHERE attrelid = 'object'::regclass AND attnum > 0 AND attstattarget = 0"
    with closing(open_store(postgres_url)) as backend, backend.read() as connection:
        assert set(connection.exec_driver_sql(asked).scalars()) == {"digest", "blob"}


def seen(backend: Backend, table: str) -> set[str]:
    """The columns of which the planner knows how their values are distributed."""
    with backend.read() as connection:
        return set(connection.exec_driver_sql("SELECT attname FROM pg_stats WHERE tablename = %s", (table,)).scalars())


def test_whether_a_directory_has_keys_is_looked_up_in_its_index_wherever_the_keys_of_others_lie(backend: Backend) -> None:
    plans: list[str] = []

    class Explains:
        def any(self, connection: Connection, statement: str) -> bool:
            plans.extend(row[0] for row in backend.fetch(connection, f"EXPLAIN {statement} LIMIT 1"))
            return True

    with backend.write() as connection:
        match_keys.insert(backend, connection, ((1 + number // 5000, number, "mail", f"{number}@x.test") for number in range(10_000)))
        match_keys.build_index(connection, 2)
        connection.exec_driver_sql("ANALYZE match_key")
        match_keys.any_of(cast(Backend, Explains()), connection, 2)
    assert any("ix_match_key_2" in step for step in plans), plans
