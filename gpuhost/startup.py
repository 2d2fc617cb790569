"""What pyinfra must do differently from its first moment on; `config.py` calls these."""

import atexit
import functools
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError
from pyinfra.api.connectors import get_all_connectors
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host
from pyinfra.api.state import State
from pyinfra.connectors.ssh import SSHConnector, connector_data_meta
from pyinfra.context import ctx_state

from gpuhost import lock_file, secrets, settings
from gpuhost.agreement import disagreements
from gpuhost.complaints import by_host, complaints, unknown_keys
from gpuhost.lock import LockError

RUN_KEYS = frozenset({"format"})
"""`--data` keys that steer a run, not a host."""


class BadSettings(PyinfraError):
    """Settings that stop the run before any host is contacted."""


def check_settings_before_connecting() -> None:
    """Make pyinfra refuse bad settings of any host before it connects to the first."""
    original = State.init

    @functools.wraps(original)
    def init(self: State, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        check(self)
        self.gpuhost_lock = check_lock(lock_path())  # type: ignore[attr-defined]

    State.init = init  # type: ignore[method-assign]


def check(state: State) -> None:
    """:raises BadSettings: with every mistake of every host, a line each"""
    found = {host.name: complain(_data(host)) for host in state.inventory}
    if lines := by_host(found):
        raise BadSettings("\n    " + "\n    ".join(lines))


def check_lock(path: Path | None) -> Path | None:
    """:raises BadSettings: when the lock is there and cannot be read"""
    try:
        lock_file.read(path) if path else None
    except LockError as error:
        raise BadSettings(f"\n    {error}") from error
    return path


def lock_path() -> Path | None:
    """`NAME.lock.yaml` beside the inventory file; None for hosts named on the command line."""
    context = click.get_current_context(silent=True)
    inventory = Path(str(context.params.get("inventory", ""))) if context else Path()
    return inventory.with_suffix(".lock.yaml").resolve() if inventory.suffix == ".py" else None


@functools.cache
def pyinfra_keys() -> frozenset[str]:
    """Host data that pyinfra's own connectors read."""
    connectors: dict[str, Any] = get_all_connectors()  # type: ignore[no-untyped-call]
    return frozenset(key for connector in connectors.values() for key in connector.data_meta)


def _data(host: Host) -> dict[str, Any]:
    return dict(host.data.dict())  # type: ignore[no-untyped-call]


def complain(data: dict[str, Any]) -> list[str]:
    """Every mistake in one host's data, a line each."""
    mine = {key: value for key, value in data.items() if key in settings.Settings.model_fields}
    valid = settings.valid_part(mine)
    lines = unknown_keys(data, pyinfra_keys() | RUN_KEYS)
    try:
        settings.read(mine)
    except ValidationError as error:
        lines += complaints(error)
    lines += disagreements(valid)
    if valid.model_fields_set >= secrets.SETTINGS:
        lines += secrets.problems(valid)
    return list(dict.fromkeys(lines))


def send_small_packets_at_once() -> None:
    """Set TCP_NODELAY on SSH sockets: without it every command on a LAN waits 40 ms.

    A connection through a ProxyJump has a channel for a socket and is left alone.
    """
    original = SSHConnector._connect

    @functools.wraps(original)
    def connect(self: SSHConnector) -> None:
        original(self)
        transport = self.client.get_transport() if self.client else None
        if transport and isinstance(transport.sock, socket.socket):
            transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    SSHConnector._connect = connect  # type: ignore[method-assign]


def check_host_keys_strictly() -> None:
    """Refuse hosts whose key is not in known_hosts, unless host data says otherwise."""
    connector_data_meta["ssh_strict_host_key_checking"].default = "yes"


def draw_progress_ourselves() -> None:
    """Silence pyinfra's spinner: it overwrites the rows of `gpuhost.progress`."""
    os.environ.setdefault("PYINFRA_PROGRESS", "off")


def interrupt_with_130() -> None:
    """Ctrl-C ends this program only, and says so: what hosts work on, they finish."""

    def leave(signum: int, frame: object) -> None:
        click.echo(
            "\n--> Interrupted. What hosts are working on goes on there;"
            " run again, and it is seen through.",
            err=True,
        )
        if ctx_state.isset():  # type: ignore[no-untyped-call]
            state: State = ctx_state.get()  # type: ignore[no-untyped-call]
            state.pool.kill(block=False)
        raise SystemExit(130)

    signal.signal(signal.SIGINT, leave)


def end_quickly() -> None:
    """Spare the interpreter's last collection: it walks all of pyinfra, for 0.1 to 0.3 seconds."""
    atexit.register(gc.freeze)


def ask_only_on_a_terminal() -> None:
    """Without a terminal there is nobody to press enter: say so instead of crashing."""
    from pyinfra_cli import cli

    original: Callable[[str], bool] = cli._do_confirm

    @functools.wraps(original)
    def confirm(message: str) -> bool:
        if sys.stdin.isatty():
            return original(message)
        click.echo(f"--> {message}: there is no terminal to ask on, run again with -y", err=True)
        return False

    cli._do_confirm = confirm
