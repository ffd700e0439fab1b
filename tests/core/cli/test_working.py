"""The long-running commands: what they do before they run for long, and that they end when they are asked to."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from metasync import service

from .conftest import Shell


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """What signals do to this process, afterwards as before."""
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    yield
    for one, handler in before.items():
        signal.signal(one, handler)


def test_who_is_asked_to_end_before_he_listens_does_not_begin_to(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    listened: list[bool] = []
    listens = service.listens

    def asked_meanwhile(settings: Any) -> bool:
        signal.raise_signal(signal.SIGTERM)
        return listens(settings)

    monkeypatch.setattr(service, "listens", asked_meanwhile)
    monkeypatch.setattr(service, "listen", lambda *_, **__: listened.append(True))
    monkeypatch.setattr(service, "configure_logs", lambda form: None)
    shell("load")
    shell("worker", "--part", "listen")
    assert not listened


@pytest.mark.parametrize("words", [("worker", "--part", "work"), ("scheduler",)])
def test_a_document_that_was_changed_meanwhile_keeps_no_process_that_is_started_again_from_the_others(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    served: list[bool] = []
    for name in ("work_queue", "schedule_runs"):
        monkeypatch.setattr(service, name, lambda *_, **__: served.append(True))
    monkeypatch.setattr(service, "configure_logs", lambda form: None)
    shell("load")
    shell.write((shell.folder / "metasync.yaml").read_text(encoding="utf-8").replace("title: source.title", "title: source.mail", 1))
    assert "differs from the newest loaded revision" in shell(*words, code=2).err, "a person is told at once"
    monkeypatch.setenv(service.PARENT, "1")
    shell(*words)
    assert served == [True]
