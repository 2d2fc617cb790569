"""What pyinfra does differently here from its first moment on."""

from __future__ import annotations

import socket
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from pyinfra.connectors.ssh import SSHConnector, connector_data_meta

from gpuhost import startup


def connected_through(sock: object, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A connector whose connection runs over this socket, connected."""

    def connect(self: Any) -> None:
        self.client = SimpleNamespace(get_transport=lambda: SimpleNamespace(sock=sock))

    monkeypatch.setattr(SSHConnector, "_connect", connect)
    startup.send_small_packets_at_once()
    connector = SSHConnector.__new__(SSHConnector)
    connector._connect()
    return connector


def test_small_packets_are_sent_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as plain:
        connected_through(plain, monkeypatch)
        assert plain.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_the_channel_of_a_jump_host_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    channel = SimpleNamespace()
    assert connected_through(channel, monkeypatch).client.get_transport().sock is channel


def test_host_keys_are_checked_strictly(monkeypatch: pytest.MonkeyPatch) -> None:
    meta = connector_data_meta["ssh_strict_host_key_checking"]
    monkeypatch.setattr(meta, "default", "accept-new")
    startup.check_host_keys_strictly()
    assert meta.default == "yes"


def test_without_a_terminal_nobody_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The real package would patch this whole process for gevent when it is imported.
    cli = SimpleNamespace(_do_confirm=lambda message: pytest.fail("asked"))
    monkeypatch.setitem(sys.modules, "pyinfra_cli", SimpleNamespace(cli=cli))
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: False))
    startup.ask_only_on_a_terminal()
    assert cli._do_confirm("Changes detected") is False
    assert "run again with -y" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("inventory", "lock"),
    [("inventories/home.py", "home.lock.yaml"), ("gpu-1,gpu-2", ""), ("@local", "")],
)
def test_the_lock_lies_beside_the_inventory(
    inventory: str, lock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = SimpleNamespace(params={"inventory": inventory})
    monkeypatch.setattr("click.get_current_context", lambda silent: context)
    path = startup.lock_path()
    assert (path.name if path else "") == lock
