"""The control plane, in this process and from another one; the command line; and that nobody else is reached."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from metasync_entra.lab import Lab, tenant
from metasync_entra.lab.commands import entra
from metasync_entra.lab.remote import process
from metasync_entra.lab.server import need_loopback
from metasync_entra.plugin import metasync_register_commands


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1", "localhost", ""])
def test_only_loopback_addresses_are_listened_on(address: str) -> None:
    with pytest.raises(ValueError, match="loopback"):
        need_loopback(address)
    with pytest.raises(ValueError, match="loopback"), tenant(address=address):
        pass
    answer = CliRunner().invoke(entra, ["--address", address])
    assert (answer.exit_code, "loopback" in answer.output) == (2, True)


def test_nothing_listens_once_it_has_ended() -> None:
    with tenant() as lab:
        port = int(lab.graph_url.rpartition(":")[2])
        socket.create_connection(("127.0.0.1", port)).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    assert not lab.ca_file.exists(), "the certificates are gone with it"


def test_the_same_seed_makes_the_same_tenant() -> None:
    with tenant(users=5, groups=2, members=3, seed=7) as one, tenant(users=5, groups=2, members=3, seed=7) as other:
        assert one.control.ids("user") == other.control.ids("user")
        group = one.control.ids("group")[0]
        assert one.control.read(group)["members"] == other.control.read(group)["members"]
        assert one.tenant_id != other.tenant_id


def test_a_snapshot_is_come_back_to(lab: Lab, graph: Any) -> None:
    graph.user("ada")
    lab.control.snapshot()
    graph.user("bob")
    lab.control.restore()
    assert [row["displayName"] for row in graph.rows("/users")] == ["ada"]
    assert graph.call("POST", "/users", json={"x": 1}).status_code == 400
    graph.user("bob")


def test_reset_keeps_the_directory_and_nothing_else(lab: Lab, graph: Any) -> None:
    graph.user()
    lab.control.set(page=1)
    lab.control.fault("status")
    lab.control.reset()
    assert lab.control.settings()["page"] == 100
    assert len(graph.rows("/users")) == 1
    assert lab.control.stats()["calls"] == {"GET /users": 1}


def test_the_trace_shows_calls_and_answers(lab: Lab, graph: Any, refused: Any) -> None:
    lab.control.trace(on=True)
    graph.batch({"method": "POST", "url": "/users", "body": refused.new_user()})
    inner, outer = lab.control.trace(on=False)
    assert (inner["route"], inner["status"], inner["in_batch"]) == ("POST /users", 201, True)
    assert inner["request"]["displayName"] == "ada"
    assert outer["route"] == "POST /$batch"


def test_settings_that_are_not_known_are_refused(lab: Lab) -> None:
    with pytest.raises(ValueError, match="is no setting"):
        lab.control.set(nonsense=1)


def test_the_clock_does_not_go_back(lab: Lab) -> None:
    before = lab.control.clock(freeze=True)
    assert lab.control.clock(advance=5) == before + 5
    with pytest.raises(ValueError, match="never goes back"):
        lab.control.clock(advance=-1)
    assert lab.control.clock(freeze=False) >= before + 5


def test_the_plane_is_closed_to_those_without_its_key(lab: Lab, graph: Any) -> None:
    url = f"{lab.control_url}/_lab/stats"
    assert graph.session.post(url, json={}).status_code == 401
    headers = {"Authorization": f"Lab {lab.control_key}"}
    assert graph.session.post(url, json={}, headers=headers).json()["result"]["deleted"] == 0
    assert graph.session.post(f"{lab.control_url}/_lab/_find", json={}, headers=headers).status_code == 404
    assert graph.session.post(f"{lab.control_url}/_lab/set", json={"nonsense": 1}, headers=headers).status_code == 400


def test_a_tenant_of_another_process_is_driven_alike(tmp_path: Path) -> None:
    with process(tmp_path, users=3, groups=1, members=2) as lab:
        assert lab.control.stats()["objects"] == {"user": 3, "group": 1, "orgContact": 0}
        (group,) = lab.control.ids("group")
        lab.control.change(group, {"description": "new"})
        assert lab.control.read(group)["fields"]["description"] == "new"
        with pytest.raises(ValueError, match="is no setting"):
            lab.control.set(nonsense=1)
        facts = json.loads((tmp_path / "facts.json").read_text(encoding="utf-8"))
        assert facts["graph_url"] == lab.graph_url
        assert lab.certificate.pem.stat().st_mode & 0o077 == 0
        port = int(lab.graph_url.rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_the_command_is_registered_and_hands_its_options_on() -> None:
    (command,) = metasync_register_commands()
    answer = CliRunner().invoke(command, ["entra", "--help"])
    assert answer.exit_code == 0, answer.output
    assert "--users" in answer.output
    refused = CliRunner().invoke(command, ["entra", "--address", "0.0.0.0"])
    assert (refused.exit_code, "loopback" in refused.output) == (2, True)
