"""A run that fails, and one that goes well again, as mails of a real engine."""

from __future__ import annotations

import email
import email.policy
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import metasync_email.plugin
from metasync.contract import Kind
from metasync.engagement.secrets import Secrets
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory
from metasync.testing.staff import BASE, DOCUMENT, STAFF, person

from .conftest import Box, Start

PASSWORD = "correct horse battery"
NOTIFY = """
notify:
  email:
    - {{server: "localhost:{port}", user: metasync, password: {{secret: mail}}, ca file: ca.pem, from: m@x.test, to: ann@x.test}}
    - {{server: "localhost:{port}", ca file: other.pem, from: m@x.test, to: bo@x.test, on: [failed]}}
"""


@pytest.fixture
def box(start: Start) -> Box:
    return start("starttls", password=PASSWORD)


@pytest.fixture
def hr() -> MemoryDirectory:
    directory = MemoryDirectory()
    person(directory, "Ann Lee")
    return directory


@pytest.fixture
def engine(tmp_path: Path, hr: MemoryDirectory, box: Box, certificate: tuple[Path, Any]) -> Iterator[Engine]:
    shutil.copy(certificate[0], tmp_path / "ca.pem")
    ad = MemoryDirectory()
    ad.add(Kind.CONTAINER, name="People", path=BASE)
    document = DOCUMENT.format(profiles=STAFF) + NOTIFY.format(port=box.port)
    made = Engine(tmp_path, document, {"hr": hr, "ad": ad}, plugins=[metasync_email.plugin])
    made.workspace = replace(made.workspace, secrets=Secrets.of({"mail": PASSWORD}))
    yield made
    made.close()


def test_mails_of_a_real_engine(engine: Engine, box: Box, hr: MemoryDirectory) -> None:
    hr.faults.unavailable = f"nobody answers to {PASSWORD}"
    engine.workspace.secrets.get("mail")
    engine.run("people")
    engine.run("people")
    hr.faults.unavailable = None
    engine.run("people")
    mails = [
        email.message_from_bytes(one.content or b"", policy=email.policy.default) for one in box.mails if isinstance(one.content, bytes)
    ]
    assert [str(one["Subject"]) for one in mails] == [
        "Metasync pipeline: run 1 failed (people)",
        "Metasync pipeline: plan 1 waits for approval (people)",
        "Metasync pipeline: run 3 went well again (people)",
    ]
    assert all(box.encrypted)
    text = "".join(one.get_content() for one in mails)  # type: ignore[attr-defined]
    assert "hr: " in text and "(secret)" in text and PASSWORD not in text and "Ann Lee" not in text
    (wrong,) = [text for area, _, text in engine.problems() if area == "notify"]
    assert "correct `ca file`" in wrong, "of the second one alone"
