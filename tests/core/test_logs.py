"""What the long-running processes log: a line per event, with what it is about, and never a secret."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from metasync import logs
from metasync.engagement.secrets import remember
from metasync.opening import passwords_of_broker

WORD = 'hunter2 "the second" \\ and more'


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def test_a_line_of_json_says_what_it_is_about(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json")
    log = logging.getLogger("metasync.test")
    with logs.about(engagement="contoso", run=7, batch=12):
        log.info("worked %s of %s", "import", "hr", extra={"seconds": 0.5})
    log.warning("outside")
    inside, outside = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (inside["event"], inside["engagement"], inside["run"], inside["batch"], inside["seconds"]) == (
        "worked import of hr",
        "contoso",
        7,
        12,
        0.5,
    )
    assert inside["level"] == "info"
    assert inside["timestamp"].endswith("Z")
    assert "run" not in outside


@pytest.mark.parametrize("form", logs.FORMATS)
def test_no_secret_is_logged_by_whatever_way(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    remember(WORD)
    logs.configure(form)
    log = logging.getLogger("metasync.test")
    log.error("the server said %s", WORD, extra={"answer": f"bind {WORD}"})
    try:
        raise ValueError(f"cannot sign in with {WORD}")
    except ValueError:
        log.exception("it failed")
    text = capsys.readouterr().err
    assert text.count("(secret)") >= 3
    assert "hunter2" not in text
    assert "the second" not in text


def test_the_password_of_a_broker_is_kept_out_also_as_its_url_writes_it() -> None:
    assert passwords_of_broker("rediss://user:p%40ss%2Fword@redis.test:6380/0") == {"p@ss/word", "p%40ss%2Fword"}
    assert passwords_of_broker("redis://redis.test:6379/0") == passwords_of_broker("redis://[") == set()
