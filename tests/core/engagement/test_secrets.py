"""Secrets are references; what they mean is found at the moment of use, and shown to nobody (I7)."""

from __future__ import annotations

import base64
import logging
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from metasync.contract import MetasyncError, SecretMissing, SecretProvider, hookimpl
from metasync.engagement import revision
from metasync.engagement.keys import KeyMissing, KeyRing, key_ring, new_key
from metasync.engagement.model import Engagement
from metasync.engagement.secrets import SecretDamaged, Secrets, SecretStore, known_secrets, secrets_of, variable
from metasync.host import Host
from metasync.store import Backend, audit, open_store
from metasync.store import secrets as rows

CANARY = "c4n4ry-Pa55word"


@pytest.fixture
def backend(tmp_path: Path, checked: Callable[[str], Engagement], small: str) -> Iterator[Backend]:
    made = open_store(f"sqlite:///{tmp_path / 'metasync.db'}")
    for name in ("small", "other"):
        text = small.replace("engagement: small", f"engagement: {name}")
        revision.accept(made, checked(text), text, "ann")
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("METASYNC_KEY", "METASYNC_KEY_FILE", "METASYNC_SECRETS"):
        monkeypatch.delenv(name, raising=False)


def store(backend: Backend, engagement: int = 1, keys: KeyRing | None = None) -> SecretStore:
    return SecretStore(backend, engagement, "ann", keys)


def sealed(backend: Backend, engagement: int, name: str) -> rows.SealedRow:
    with backend.read() as connection:
        row = rows.get(connection, engagement, name)
    assert row is not None
    return row


def data_keys(backend: Backend, engagement: int = 1) -> list[rows.SealedRow]:
    with backend.read() as connection:
        return rows.keys(connection, engagement)


def secrets(backend: Backend, folder: Path, host: Host, **environment: str) -> Secrets:
    return secrets_of(backend, 1, host, folder, environment)


# --- where a secret is looked for


def test_the_environment_comes_first_then_the_file_then_the_store(backend: Backend, host: Host, tmp_path: Path) -> None:
    store(backend).set("contoso-bind.1", "from the store")
    assert secrets(backend, tmp_path, host).get("contoso-bind.1") == "from the store"
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "contoso-bind.1").write_text("from the file\n")
    assert secrets(backend, tmp_path, host).get("contoso-bind.1") == "from the file"
    assert variable("contoso-bind.1") == "METASYNC_SECRET_CONTOSO_BIND_1"
    assert secrets(backend, tmp_path, host, METASYNC_SECRET_CONTOSO_BIND_1="from outside").get("contoso-bind.1") == "from outside"


def test_the_folder_of_files_can_be_named(backend: Backend, host: Host, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "bind").write_text("there\r\n")
    assert secrets(backend, tmp_path, host, METASYNC_SECRETS=str(tmp_path / "elsewhere")).get("bind") == "there"


def test_plugins_are_asked_last(backend: Backend, tmp_path: Path) -> None:
    class Vault(SecretProvider):
        name, title = "vault", "the vault"

        def get(self, name: str) -> str | None:
            return {"bind": "from the vault"}.get(name)

    class Plugin:
        @hookimpl
        def metasync_register_secret_providers(self) -> list[type[SecretProvider]]:
            return [Vault]

    found = secrets(backend, tmp_path, Host.of(Plugin()))
    assert found.get("bind") == "from the vault"
    with pytest.raises(SecretMissing, match="the vault"):
        found.get("nobody")


def test_a_missing_secret_says_where_it_was_looked_for_and_what_to_do(backend: Backend, host: Host, tmp_path: Path) -> None:
    with pytest.raises(SecretMissing) as caught:
        secrets(backend, tmp_path, host).get("bind")
    text = str(caught.value)
    for part in ("metasync secrets set bind", "METASYNC_SECRET_BIND", str(tmp_path / "secrets"), "the encrypted store"):
        assert part in text


@pytest.mark.parametrize("name", ["../metasync.key", "a/b", "", ".hidden", "a\\b", ":key"])
def test_a_name_cannot_lead_out_of_the_folder(backend: Backend, host: Host, tmp_path: Path, name: str) -> None:
    with pytest.raises(SecretMissing, match="cannot name a secret"):
        secrets(backend, tmp_path, host).get(name)
    with pytest.raises(MetasyncError, match="cannot name a secret"):
        store(backend).set(name, "x")


@pytest.mark.skipif(os.name != "posix", reason="Windows has no permission bits of this sort")
def test_a_file_that_others_can_read_is_warned_of(backend: Backend, host: Host, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "secrets").mkdir()
    file = tmp_path / "secrets" / "bind"
    file.write_text(CANARY)
    file.chmod(0o600)
    with caplog.at_level(logging.WARNING):
        secrets(backend, tmp_path, host).get("bind")
        assert not caplog.records
        file.chmod(0o644)
        secrets(backend, tmp_path, host).get("bind")
    assert "chmod 600" in caplog.text
    assert CANARY not in caplog.text


def test_an_empty_or_binary_file_is_an_error_that_names_it(backend: Backend, host: Host, tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    for content in (b"", b"\n", b"\xff\xfe"):
        (tmp_path / "secrets" / "bind").write_bytes(content)
        with pytest.raises(SecretMissing, match="bind"):
            secrets(backend, tmp_path, host).get("bind")


def test_a_provider_that_fails_is_named_without_what_it_said(backend: Backend, tmp_path: Path) -> None:
    class Vault(SecretProvider):
        name, title = "vault", "the vault"

        def get(self, name: str) -> str | None:
            raise RuntimeError(f"token {CANARY} refused")

    class Plugin:
        @hookimpl
        def metasync_register_secret_providers(self) -> list[type[SecretProvider]]:
            return [Vault]

    with pytest.raises(SecretMissing, match=r"`vault` failed on `bind` \(RuntimeError\)") as caught:
        secrets(backend, tmp_path, Host.of(Plugin())).get("bind")
    assert CANARY not in str(caught.value)
    assert caught.value.__context__ is None


def test_what_was_resolved_is_known_so_that_output_can_be_looked_over() -> None:
    assert Secrets.of({"a": CANARY + "1"}).get("a") in known_secrets()
    Secrets.of({"a": "abc"}).get("a")
    assert "abc" not in known_secrets()


def test_no_repr_shows_a_secret(backend: Backend) -> None:
    key = new_key()
    for thing in (Secrets.of({"a": CANARY}), key, KeyRing(keys=(key,)), store(backend, keys=KeyRing(keys=(key,)))):
        assert CANARY not in repr(thing)
        assert base64.b64encode(key.material).decode() not in repr(thing)
        assert repr(key.material) not in repr(thing)


# --- the encrypted store


def test_a_secret_that_was_set_is_read_again_also_by_another_process(backend: Backend) -> None:
    store(backend).set("bind", CANARY)
    store(backend).set("bind", CANARY + "2")
    store(backend).set("graph", "ünïcode")
    assert store(backend).get("bind") == CANARY + "2"
    assert store(backend).get("graph") == "ünïcode"
    assert store(backend).get("nobody") is None
    assert store(backend).names() == ["bind", "graph"]
    assert store(backend).remove("bind")
    assert not store(backend).remove("bind")
    assert store(backend).names() == ["graph"]


def test_invariant_i7_no_secret_lies_in_the_database_or_in_the_audit_log(backend: Backend, tmp_path: Path) -> None:
    store(backend).set("bind", CANARY)
    store(backend).rotate()
    with backend.read() as connection:
        found = list(audit.rows(connection, 1))
    assert [row.action for row in found if row.subject == "bind"] == ["set secret"]
    assert CANARY not in str(found)
    key = (tmp_path / "metasync.key").read_bytes().strip()
    for file in tmp_path.glob("metasync.db*"):
        assert CANARY.encode() not in file.read_bytes()
        assert base64.b64decode(key) not in file.read_bytes()


def test_the_key_file_is_made_beside_the_database_for_its_owner_alone(backend: Backend, tmp_path: Path) -> None:
    file = tmp_path / "metasync.key"
    assert not file.exists()
    store(backend).set("bind", CANARY)
    assert len(base64.b64decode(file.read_text())) == 32
    if os.name == "posix":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_one_secret_sealed_twice_looks_different_each_time(backend: Backend) -> None:
    store(backend).set("a", CANARY)
    store(backend).set("b", CANARY)
    one, other = sealed(backend, 1, "a"), sealed(backend, 1, "b")
    assert len(one.nonce) == 12
    assert one.nonce != other.nonce
    assert one.ciphertext != other.ciphertext


def test_a_ciphertext_moved_to_another_row_or_engagement_is_refused(backend: Backend) -> None:
    store(backend).set("mine", CANARY)
    store(backend).set("theirs", "x")
    store(backend, 2).set("mine", "y")
    row = sealed(backend, 1, "mine")
    with backend.write() as connection:
        now = backend.now(connection)
        rows.put(connection, 1, rows.SealedRow(name="theirs", key_id=row.key_id, nonce=row.nonce, ciphertext=row.ciphertext), now)
        rows.put(connection, 2, row, now)
        rows.put(connection, 2, data_keys(backend)[0], now)
    for engagement, name in ((1, "theirs"), (2, "mine")):
        with pytest.raises(SecretDamaged) as caught:
            store(backend, engagement).get(name)
        assert CANARY not in str(caught.value)
    assert store(backend).get("mine") == CANARY


def test_a_changed_ciphertext_is_refused(backend: Backend) -> None:
    store(backend).set("bind", CANARY)
    row = sealed(backend, 1, "bind")
    with backend.write() as connection:
        spoilt = rows.SealedRow(name="bind", key_id=row.key_id, nonce=row.nonce, ciphertext=b"\0" + row.ciphertext[1:])
        rows.put(connection, 1, spoilt, backend.now(connection))
    with pytest.raises(SecretDamaged, match="metasync secrets set bind"):
        store(backend).get("bind")


def test_without_its_key_a_secret_stays_shut_and_no_new_key_is_made(backend: Backend, tmp_path: Path) -> None:
    store(backend).set("bind", CANARY)
    (tmp_path / "metasync.key").unlink()
    with pytest.raises(KeyMissing, match="not at hand"):
        store(backend).get("bind")
    with pytest.raises(KeyMissing, match="not at hand"):
        store(backend).set("more", "x")
    assert not (tmp_path / "metasync.key").exists()


def test_too_long_and_empty_secrets_are_refused(backend: Backend) -> None:
    for value in ("", "x" * 70000):
        with pytest.raises(MetasyncError, match="nothing was stored"):
            store(backend).set("bind", value)


# --- keys from outside


def encoded(ring: KeyRing) -> str:
    return ",".join(base64.b64encode(key.material).decode() for key in ring.keys)


def ring_of(backend: Backend, **environment: str) -> KeyRing:
    return key_ring(backend.url, environment)


def test_a_key_can_come_from_the_environment_or_a_file(backend: Backend, tmp_path: Path) -> None:
    key = KeyRing(keys=(new_key(),))
    store(backend, keys=ring_of(backend, METASYNC_KEY=encoded(key))).set("bind", CANARY)
    (tmp_path / "outside.key").write_text(encoded(key) + "\n")
    assert store(backend, keys=ring_of(backend, METASYNC_KEY_FILE=str(tmp_path / "outside.key"))).get("bind") == CANARY
    assert not (tmp_path / "metasync.key").exists()


@pytest.mark.parametrize("environment", [{"METASYNC_KEY": "abc"}, {"METASYNC_KEY": ","}, {"METASYNC_KEY_FILE": "/nowhere/key"}])
def test_a_key_that_cannot_be_used_is_an_error_that_does_not_quote_it(backend: Backend, environment: Mapping[str, str]) -> None:
    with pytest.raises(KeyMissing) as caught:
        key_ring(backend.url, environment)
    assert "abc" not in str(caught.value)


def test_without_any_key_a_store_elsewhere_says_how_to_give_one() -> None:
    with pytest.raises(KeyMissing, match="METASYNC_KEY_FILE"):
        _ = key_ring("postgresql+psycopg://db/metasync", {}).current


# --- rotation


def test_rotation_seals_everything_anew_and_drops_the_old_keys(backend: Backend, tmp_path: Path) -> None:
    for number in range(120):
        store(backend).set(f"s{number}", f"{CANARY}{number}")
    file = tmp_path / "metasync.key"
    before, old_key = sealed(backend, 1, "s5"), file.read_text()
    done = store(backend).rotate()
    assert done.secrets == 120
    assert sealed(backend, 1, "s5").key_id == done.key_id != before.key_id
    assert [row.name for row in data_keys(backend)] == [f":{done.key_id}"]
    assert file.read_text() != old_key
    assert len(file.read_text().split()) == 1
    assert [store(backend).get(f"s{number}") for number in range(120)] == [f"{CANARY}{number}" for number in range(120)]


@pytest.mark.parametrize("stops_after", [0, 1, 2])
def test_an_interrupted_rotation_loses_nothing_and_is_finished_by_the_next(
    backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stops_after: int
) -> None:
    for number in range(120):
        store(backend).set(f"s{number}", f"{CANARY}{number}")
    portions = 0
    original = SecretStore._reseal_portion

    def stop(self: SecretStore) -> int:
        nonlocal portions
        if portions == stops_after:
            raise KeyboardInterrupt
        portions += 1
        return original(self)

    monkeypatch.setattr(SecretStore, "_reseal_portion", stop)
    with pytest.raises(KeyboardInterrupt):
        store(backend).rotate()
    monkeypatch.undo()
    assert all(store(backend).get(f"s{number}") == f"{CANARY}{number}" for number in range(120))
    store(backend).set("late", "set meanwhile")
    newest = data_keys(backend)[-1]
    done = store(backend).rotate()
    assert f":{done.key_id}" == newest.name
    assert done.secrets == 120 - 50 * stops_after
    assert len(data_keys(backend)) == 1
    assert len((tmp_path / "metasync.key").read_text().split()) == 1
    assert all(store(backend).get(f"s{number}") == f"{CANARY}{number}" for number in range(120))
    assert store(backend).get("late") == "set meanwhile"


def test_a_process_that_read_its_keys_before_a_rotation_goes_on(backend: Backend) -> None:
    early, idle = store(backend), store(backend)
    early.set("bind", CANARY)
    store(backend).rotate()
    assert early.get("bind") == CANARY
    assert idle.get("bind") == CANARY
    early.set("bind", CANARY + "2")
    assert store(backend).get("bind") == CANARY + "2"


def test_another_engagements_secrets_stay_readable(backend: Backend, tmp_path: Path) -> None:
    store(backend, 1).set("bind", "one")
    store(backend, 2).set("bind", "two")
    store(backend, 1).rotate()
    assert store(backend, 2).get("bind") == "two"
    store(backend, 2).rotate()
    assert len((tmp_path / "metasync.key").read_text().split()) == 1
    assert (store(backend, 1).get("bind"), store(backend, 2).get("bind")) == ("one", "two")


def test_rotation_to_a_new_key_from_outside(backend: Backend) -> None:
    old, new = new_key(), new_key()
    store(backend, keys=KeyRing(keys=(old,))).set("bind", CANARY)
    store(backend, keys=KeyRing(keys=(new, old))).rotate()
    assert store(backend, keys=KeyRing(keys=(new,))).get("bind") == CANARY
    with pytest.raises(KeyMissing):
        store(backend, keys=KeyRing(keys=(old,))).get("bind")


def test_rotation_of_an_empty_store_is_no_error(backend: Backend) -> None:
    assert store(backend).rotate().secrets == 0
