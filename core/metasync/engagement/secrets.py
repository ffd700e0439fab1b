"""Secrets: the document holds references, this finds what they mean, at the moment of use.

Asked in order: the environment (METASYNC_SECRET_NAME), a file (the folder METASYNC_SECRETS, or `secrets` beside the document), the
encrypted store in the database, providers of plugins. No error, log line or repr here holds a secret.

The store is an envelope: a data key per engagement seals the secrets (AES-256-GCM, a random nonce of 96 bits each, bound to engagement,
name and field, so that a ciphertext moved to another row is refused); the data key is sealed by a key that is not in the database (`keys`).
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from metasync.contract import MetasyncError, SecretMissing, SecretProvider
from metasync.engagement.keys import Key, KeyMissing, KeyRing, key_ring, new_key, warn_if_open
from metasync.host import Host
from metasync.store import Backend, audit
from metasync.store import secrets as rows
from metasync.store.secrets import KEY_PREFIX, SealedRow

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
FOLDER_VARIABLE = "METASYNC_SECRETS"
FOLDER = "secrets"
LARGEST = 64 * 1024
PORTION = 50
_NONCE = 12
_SHORTEST_SCRUBBED = 4

_known: set[str] = set()
_known_lock = threading.Lock()


class SecretDamaged(MetasyncError):
    """A stored secret cannot be opened; set it again with `metasync secrets set NAME`."""


def known_secrets() -> frozenset[str]:
    """Every secret that this process has resolved, for a last look over what it prints. Very short ones stand in any text."""
    with _known_lock:
        return frozenset(_known)


def scrub(text: str) -> str:
    """The text without any secret that this process has resolved."""
    for secret in sorted(known_secrets(), key=len, reverse=True):
        text = text.replace(secret, "(secret)")
    return text


def remember(secret: str) -> None:
    """Keep it out of what this process prints. Very short ones stand in any text."""
    if len(secret) >= _SHORTEST_SCRUBBED:
        with _known_lock:
            _known.add(secret)


def variable(name: str) -> str:
    """The environment variable of a secret: `contoso-bind` is METASYNC_SECRET_CONTOSO_BIND."""
    return "METASYNC_SECRET_" + name.upper().replace("-", "_").replace(".", "_")


@dataclass(frozen=True, slots=True)
class Secrets:
    """Finds secrets by name."""

    sources: Sequence[tuple[str, Callable[[str], str | None]]] = field(repr=False)
    """(what it is, how to ask it), in the order in which they are asked."""

    @classmethod
    def of(cls, secrets: Mapping[str, str]) -> Secrets:
        """Just these: for tests."""
        known = dict(secrets)
        return cls((("the test", known.get),))

    def get(self, name: str) -> str:
        """The secret. Raises `SecretMissing`, which says where it was looked for."""
        if not NAME.fullmatch(name):
            raise SecretMissing(f"`{name}` cannot name a secret; allowed are letters, digits, `-`, `_` and `.`")
        for _, ask in self.sources:
            found = ask(name)
            if found is not None:
                remember(found)
                return found
        places = ", ".join(what.format(variable=variable(name)) for what, _ in self.sources)
        raise SecretMissing(f"the secret `{name}` is not set; set it with `metasync secrets set {name}` (looked in: {places})")


def secrets_of(backend: Backend, engagement_id: int, host: Host, folder: Path, environment: Mapping[str, str] | None = None) -> Secrets:
    """The secrets of an engagement. `folder` is that of its document."""
    environment = os.environ if environment is None else environment
    files = Path(environment.get(FOLDER_VARIABLE) or folder / FOLDER)
    store = SecretStore(backend, engagement_id, "", key_ring(backend.url, environment))
    providers = [(provider.title or name, _provided(name, provider)) for name, provider in host.secret_providers.items()]
    return Secrets(
        (
            ("the variable {variable}", lambda name: environment.get(variable(name)) or None),
            (f"the folder {files}".replace("{", "{{").replace("}", "}}"), lambda name: _from_file(files, name)),
            ("the encrypted store", store.get),
            *((title.replace("{", "{{").replace("}", "}}"), ask) for title, ask in providers),
        )
    )


def _from_file(folder: Path, name: str) -> str | None:
    """A file per secret; one line end at its end is not part of it."""
    file = folder / name
    try:
        content = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise SecretMissing(f"the secret `{name}` cannot be read from {file}: {error.strerror}; check its permissions") from None
    warn_if_open(file)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SecretMissing(f"the secret `{name}` in {file} is not UTF-8 text; write it again") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise SecretMissing(f"the secret `{name}` in {file} is empty; write it, or remove the file")
    return text


def _provided(name: str, provider: type[SecretProvider]) -> Callable[[str], str | None]:
    made: list[SecretProvider] = []

    def ask(secret: str) -> str | None:
        try:
            if not made:
                made.append(provider())
            return made[0].get(secret)
        except (Exception, SystemExit) as error:
            # Its message could quote the secret, so that only its type is told.
            reason = type(error).__name__
        raise SecretMissing(f"the secret provider `{name}` failed on `{secret}` ({reason}); check its configuration")

    return ask


@dataclass(frozen=True, kw_only=True, slots=True)
class Rotated:
    """What a rotation did."""

    secrets: int
    """Sealed anew."""
    key_id: str
    """Of the data key that seals them now."""


class SecretStore:
    """The encrypted store of one engagement."""

    def __init__(self, backend: Backend, engagement_id: int, author: str, keys: KeyRing | None = None) -> None:
        """`keys`: those of METASYNC_KEY, METASYNC_KEY_FILE or metasync.key unless given."""
        self._backend, self._engagement, self._author = backend, engagement_id, author
        self._ring = key_ring(backend.url) if keys is None else keys
        self._data_keys: dict[str, Key] = {}

    def names(self) -> list[str]:
        """The secrets that it holds."""
        with self._backend.read() as connection:
            return rows.names(connection, self._engagement)

    def get(self, name: str) -> str | None:
        """A secret, or None. Raises `KeyMissing`, `SecretDamaged`."""
        with self._backend.read() as connection:
            row = rows.get(connection, self._engagement, name)
            if row is None:
                return None
            wrapped = rows.get(connection, self._engagement, KEY_PREFIX + row.key_id)
        return self._open(self._data_key(row.key_id, wrapped), row, "value").decode()

    def set(self, name: str, value: str) -> None:
        """Store a secret, or replace it."""
        if not NAME.fullmatch(name):
            raise MetasyncError(f"`{name}` cannot name a secret; allowed are letters, digits, `-`, `_` and `.`")
        if not value or len(value.encode()) > LARGEST:
            raise MetasyncError(f"the secret `{name}` is empty or longer than {LARGEST // 1024} KiB; nothing was stored")
        with self._backend.write("secrets.set", durable=True) as connection:
            now = self._backend.now(connection)
            wrapped = rows.keys(connection, self._engagement)
            if wrapped:
                key = self._unwrap(wrapped[-1])
            else:
                # The transaction keeps a second process from making another first key at the same time.
                self._ring = self._ring.reloaded().with_key()
                key = new_key()
                rows.put(connection, self._engagement, self._wrap(key), now)
            rows.put(connection, self._engagement, self._seal(key, name, "value", value.encode()), now)
            audit.append(connection, self._engagement, self._author, "set secret", name, {"key": key.id})

    def remove(self, name: str) -> bool:
        """Forget a secret; True where there was one."""
        if not NAME.fullmatch(name):
            return False
        with self._backend.write(durable=True) as connection:
            found = rows.remove(connection, self._engagement, name)
            if found:
                audit.append(connection, self._engagement, self._author, "remove secret", name)
        return found

    def rotate(self) -> Rotated:
        """Seal everything with a new data key, and with a new key around that where metasync.key is ours to write.

        Every step leaves a store that can be read: the new key is on disk before anything is sealed with it, secrets change over in
        portions while others read and set them, and a key goes once nothing needs it. The next one finishes what was interrupted.
        """
        with self._backend.write("secrets.begin_rotate", durable=True) as connection:
            if len(rows.keys(connection, self._engagement)) < 2:
                ring = self._ring.reloaded()
                self._ring = ring.renewed() if ring.own and len(ring.keys) < 2 else ring.with_key()
                rows.put(connection, self._engagement, self._wrap(new_key()), self._backend.now(connection))
        count = 0
        while portion := self._reseal_portion():
            count += portion
        with self._backend.write("secrets.end_rotate", durable=True) as connection:
            newest = rows.keys(connection, self._engagement)[-1]
            rows.drop_unused_keys(connection, self._engagement, newest.name)
            key = self._unwrap(newest)
            if newest.key_id != self._ring.current.id:
                rows.put(connection, self._engagement, self._wrap(key), self._backend.now(connection))
            audit.append(connection, self._engagement, self._author, "rotate secrets", key.id, {"secrets": count})
        self._drop_old_keys()
        return Rotated(secrets=count, key_id=key.id)

    def _reseal_portion(self) -> int:
        """Seal some secrets with the newest data key, which is another one by now if somebody else began a rotation too."""
        with self._backend.write("secrets.reseal", durable=True) as connection:
            wrapped = {row.name.removeprefix(KEY_PREFIX): row for row in rows.keys(connection, self._engagement)}
            key = self._unwrap(list(wrapped.values())[-1])
            portion = rows.sealed_by_others(connection, self._engagement, key.id, PORTION)
            for row in portion:
                value = self._open(self._data_key(row.key_id, wrapped.get(row.key_id)), row, "value")
                rows.reseal(connection, self._engagement, row, self._seal(key, row.name, "value", value))
            return len(portion)

    def _drop_old_keys(self) -> None:
        """Keep only the first key in metasync.key, unless another engagement of this database still needs an older one."""
        with self._backend.read() as connection:
            needed = rows.wrapping_keys(connection)
        if needed <= {self._ring.current.id}:
            self._ring = self._ring.only_current()

    def _wrap(self, key: Key) -> SealedRow:
        return self._seal(self._ring.current, KEY_PREFIX + key.id, "key", key.material)

    def _data_key(self, key_id: str, wrapped: SealedRow | None) -> Key:
        if wrapped is None:
            raise SecretDamaged(f"the data key {key_id} of the encrypted store is gone; restore the database, or set its secrets again")
        return self._unwrap(wrapped)

    def _unwrap(self, wrapped: SealedRow) -> Key:
        known = self._data_keys.get(wrapped.name)
        if known is not None:
            return known
        try:
            outer = self._ring.find(wrapped.key_id)
        except KeyMissing:
            # Another process may have rotated since this one read its keys.
            self._ring = self._ring.reloaded()
            outer = self._ring.find(wrapped.key_id)
        key = Key(self._open(outer, wrapped, "key"))
        self._data_keys[wrapped.name] = key
        return key

    def _bound_to(self, name: str, field_: str, key_id: str) -> bytes:
        """What a ciphertext belongs to (AAD); a name holds no colon but the one in front of a data key's."""
        return f"metasync secret 1:{self._engagement}:{name}:{field_}:{key_id}".encode()

    def _seal(self, key: Key, name: str, field_: str, value: bytes) -> SealedRow:
        nonce = os.urandom(_NONCE)
        ciphertext = AESGCM(key.material).encrypt(nonce, value, self._bound_to(name, field_, key.id))
        return SealedRow(name=name, key_id=key.id, nonce=nonce, ciphertext=ciphertext)

    def _open(self, key: Key, row: SealedRow, field_: str) -> bytes:
        try:
            return AESGCM(key.material).decrypt(row.nonce, row.ciphertext, self._bound_to(row.name, field_, row.key_id))
        except (InvalidTag, ValueError):
            pass
        if field_ == "key":
            raise SecretDamaged("a data key of the encrypted store was changed or moved; restore the database, or set its secrets again")
        raise SecretDamaged(f"the stored secret `{row.name}` was changed or moved; set it again with `metasync secrets set {row.name}`")
