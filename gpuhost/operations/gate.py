"""Run an instance's gates on its host, and remember that they passed."""

import base64
import json
import shlex
from datetime import datetime, timezone

from pyinfra.api import State
from pyinfra.api.host import Host

from gpuhost.actions import ProveInstance
from gpuhost.operations.job import Job, JobFailed, remote, run_job, tail
from gpuhost.planning.instance import GATES_PROGRAM
from gpuhost.release import container_name, proven_path
from gpuhost.session import Session

LOG_LINES = 15
HEALTH_LIMIT = 60
"""Seconds: several intervals of the health check in templates/compose.yaml.j2."""


def prove(session: Session, action: ProveInstance, state: State, host: Host) -> None:
    """
    :raises JobFailed: with the gate, its reason and the end of the container's log
    """
    job = _job(action)
    try:
        run_job(state, host, job)
    except JobFailed as error:
        reason = (
            _reason(tail(state, host, job, 50)) or _container(state, host, action) or str(error)
        )
        raise JobFailed(_advice(reason, action), _log(state, host, action)) from error
    record = {
        "release": action.release,
        "digest": action.digest,
        "at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "figures": _figures(tail(state, host, job, 50)),
    }
    _remember(state, host, action, record)
    session.keep_lock()


def _job(action: ProveInstance) -> Job:
    container = shlex.quote(container_name(action.name))
    gates = " ".join(f"{name}={limit}" for name, limit in action.gates.items())
    script = (
        f"set -e; docker exec -i {container} python3 -u - {gates} <{GATES_PROGRAM}\n"
        f"{_published(*action.published)}\n"
        f"{_healthy(container)}\n"
    )
    return Job(
        name=f"gates-{action.name}",
        label=f"gates of {action.name}",
        script=script,
        deadline=sum(action.gates.values()) + 120,
    )


def _published(address: str, port: int) -> str:
    """Ask the WebUI by the address it is published on, with what every host has: bash."""
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104
    ask = (
        f"exec 3<>/dev/tcp/{target}/{port}; "
        r"printf 'GET /internal/ping HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3; "
        'read -r _ code _ <&3; [ "$code" = 200 ]'
    )
    failed = _failure("published", f"no answer at {address}:{port} on the host")
    return f"timeout 10 bash -c {shlex.quote(ask)} || {{ echo {failed}; exit 1; }}"


def _healthy(container: str) -> str:
    """Wait for the engine's own health check: restarts and `docker ps` go by it."""
    failed = _failure("healthy", f"the engine's health check did not pass in {HEALTH_LIMIT} s")
    ask = "docker inspect --format '{{.State.Health.Status}}' " + container
    return (
        f"for _ in $(seq {HEALTH_LIMIT}); do\n"
        f'  [ "$({ask})" = healthy ] && exit 0\n'
        "  sleep 1\n"
        f"done\necho {failed}; exit 1"
    )


def _failure(gate: str, reason: str) -> str:
    return shlex.quote(json.dumps({"gate": gate, "state": "failed", "reason": reason}))


def _lines(output: str) -> list[dict[str, object]]:
    found = []
    for line in output.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            found.append(value)
    return found


def _reason(output: str) -> str:
    failed = [line for line in _lines(output) if line.get("state") == "failed"]
    return f"gate {failed[-1]['gate']} failed: {failed[-1]['reason']}" if failed else ""


def _figures(output: str) -> object:
    return next((line["figures"] for line in _lines(output) if "figures" in line), {})


def _advice(reason: str, action: ProveInstance) -> str:
    container = container_name(action.name)
    return f"{reason} (the container is kept: docker logs {container}; then run again)"


def _log(state: State, host: Host, action: ProveInstance) -> str:
    container = shlex.quote(container_name(action.name))
    _, output = remote(state, host, f"docker logs --tail {LOG_LINES} {container} 2>&1")
    return "\n".join(output)


def _container(state: State, host: Host, action: ProveInstance) -> str:
    """Why the gates could not even run: the container does not stay up."""
    ask = "{{.State.Status}}, exit code {{.State.ExitCode}}, restarted {{.RestartCount}} times"
    container = shlex.quote(container_name(action.name))
    ok, output = remote(state, host, f"docker inspect --format {shlex.quote(ask)} {container}")
    ended = ok and output and not output[-1].startswith("running, exit code 0, restarted 0")
    return f"gate starts failed: the container does not stay up: {output[-1]}" if ended else ""


def _remember(state: State, host: Host, action: ProveInstance, record: dict[str, object]) -> None:
    path = proven_path(action.name)
    text = base64.b64encode((json.dumps(record, indent=2) + "\n").encode()).decode()
    ok, output = remote(
        state,
        host,
        f"set -e; mkdir -p {path.rpartition('/')[0]}; base64 -d >{path}.new;"
        f" sync {path}.new; mv {path}.new {path}",
        text,
    )
    if not ok:
        raise JobFailed("the proof could not be written down", "\n".join(output))
