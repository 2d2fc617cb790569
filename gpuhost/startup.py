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

from gpuhost import cycle, lock_file, secrets, settings
from gpuhost.agreement import disagreements
from gpuhost.complaints import by_host, complaints, unknown_keys
from gpuhost.lock import LockError

RUN_KEYS = frozenset({"format", "wait", "to", "instance", "digest"})
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
        self.gpuhost_wait = check_wait(self)  # type: ignore[attr-defined]
        self.gpuhost_what = what()  # type: ignore[attr-defined]
        self.gpuhost_inventory = inventory_path()  # type: ignore[attr-defined]

    State.init = init  # type: ignore[method-assign]


def check(state: State) -> None:
    """:raises BadSettings: with every mistake of every host, a line each"""
    data = {host.name: _data(host) for host in state.inventory}
    lines = by_host({name: complain(one) for name, one in data.items()})
    lines += cycle.differences(data)
    if lines:
        raise BadSettings("\n    " + "\n    ".join(lines))


def check_lock(path: Path | None) -> Path | None:
    """:raises BadSettings: when the lock is there and cannot be read"""
    try:
        lock_file.read(path) if path else None
    except LockError as error:
        raise BadSettings(f"\n    {error}") from error
    return path


def check_wait(state: State) -> int:
    """`--data wait=SECONDS`: how long to wait for another run's end.

    :raises BadSettings: when it is no number of seconds
    """
    found = [_data(host).get("wait", 0) for host in state.inventory]
    for seconds in found:
        if type(seconds) is not int or seconds < 0:
            raise BadSettings(f"\n    wait: should be seconds, got {seconds!r} (for example 600)")
    return max(found, default=0)


def what() -> str:
    """What this run was asked to do, such as "deploy.py"."""
    asked = _asked("operations")
    return str(asked[0]) if asked else "pyinfra"


def inventory_path() -> Path | None:
    """The inventory file; None for hosts named on the command line."""
    path = Path(str(_asked("inventory") or ""))
    return path.resolve() if path.suffix == ".py" else None


def lock_path() -> Path | None:
    """`NAME.lock.yaml` beside the inventory file; None for hosts named on the command line."""
    path = inventory_path()
    return path.with_suffix(".lock.yaml") if path else None


def _asked(parameter: str) -> Any:
    context = click.get_current_context(silent=True)
    return context.params.get(parameter) if context else None


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


def conclude_at_the_end() -> None:
    """Settle the lock, and let every held host go, while there still are connections."""
    from pyinfra_cli import cli

    original: Callable[[State], None] = cli.disconnect_all

    @functools.wraps(original)
    def disconnect_all(state: State) -> None:
        from gpuhost.deploys.conclusion import conclude
        from gpuhost.operations import run_lock

        try:
            conclude(state)
        finally:
            run_lock.release()
            original(state)

    cli.disconnect_all = disconnect_all


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
