"""A lab tenant in a process of its own, so that its work is not the client's: for benches and for tests that stop clients."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import requests
from cryptography import x509

from metasync_entra.lab.certificates import AppCertificate
from metasync_entra.lab.control import VERBS, Control
from metasync_entra.lab.starting import Lab


class RemoteControl:
    """The verbs of `Control`, each one a POST to the control plane."""

    def __init__(self, url: str, key: str, ca_file: str) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = ca_file
        self._session.headers["Authorization"] = f"Lab {key}"

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        if verb not in VERBS:
            raise AttributeError(verb)

        def call(*arguments: Any, **named: Any) -> Any:
            body = {**dict(zip(_names(verb), arguments, strict=False)), **named}
            answer = self._session.post(f"{self._url}/_lab/{verb}", json=body, timeout=600)
            content = answer.json()
            if answer.status_code != 200:
                raise ValueError(content["error"])
            return content["result"]

        return call

    def close(self) -> None:
        """End its connections."""
        self._session.close()


def _names(verb: str) -> list[str]:
    code = getattr(Control, verb).__code__
    return list(code.co_varnames[1 : code.co_argcount])


@contextmanager
def process(folder: Path, **options: Any) -> Iterator[Lab]:
    """Run a tenant in another process until the block ends. `options` are those of the command line: users=50, groups=5 and so on."""
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "metasync_entra.lab", "--folder", str(folder), *arguments]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603  our own module
    try:
        assert running.stdout is not None
        line = running.stdout.readline()
        if not line:
            raise RuntimeError("the lab tenant did not start; what it said stands above")
        facts = json.loads(line)
        control = RemoteControl(facts["control_url"], facts["control_key"], facts["ca_file"])
        try:
            yield _lab(facts, folder, control)
        finally:
            control.close()
    finally:
        running.terminate()
        running.wait(30)
        if running.stdout is not None:
            running.stdout.close()


def _lab(facts: dict[str, Any], folder: Path, control: RemoteControl) -> Lab:
    return Lab(
        **{
            name: facts[name]
            for name in ("login_url", "graph_url", "control_url", "exchange_url", "control_key", "tenant_id", "client_id", "client_secret")
        },
        identity_header=facts["identity_header"],
        ca_file=Path(facts["ca_file"]),
        certificate=_certificate(folder, "app", facts["pfx_password"]),
        stranger=_certificate(folder, "stranger", facts["pfx_password"]),
        domains=tuple(facts["domains"]),
        folder=folder,
        # The same verbs, by name.
        control=cast(Control, control),
    )


def _certificate(folder: Path, name: str, password: str) -> AppCertificate:
    loaded = x509.load_pem_x509_certificate((folder / f"{name}-certificate.pem").read_bytes())
    return AppCertificate.of(folder, name, loaded, password)
