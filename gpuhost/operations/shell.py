"""Shell text for actions. Every value that came from outside is quoted."""

import base64
import shlex

from gpuhost.actions import (
    ConfigureDaemon,
    EnableUnit,
    MakeDirectory,
    MoveAside,
    ProveGpus,
    ReloadUnits,
    RemoveInstance,
    RunUnit,
    WriteFile,
)
from gpuhost.hostside.places import PROGRAM
from gpuhost.release import compose_path

DAEMON_JSON = "/etc/docker/daemon.json"


def write_file(action: WriteFile) -> str:
    """Write beside, then rename: no reader ever sees half a file. The content is on stdin."""
    path, new = shlex.quote(action.path), shlex.quote(f"{action.path}.gpuhost-new")
    folder = shlex.quote(action.path.rpartition("/")[0])
    return (
        f"set -e; mkdir -p {folder}; (umask 077; base64 -d >{new});"
        f" chown {action.owner} {new}; chmod {action.mode:04o} {new}; sync {new}; mv {new} {path}"
    )


def stdin_of(content: bytes) -> str:
    """What `write_file` reads."""
    return base64.b64encode(content).decode()


def move_aside(action: MoveAside) -> str:
    """Rename to a name that no package manager reads."""
    path = shlex.quote(action.path)
    return f"mv {path} {path}.disabled-by-gpuhost"


def make_directory(action: MakeDirectory) -> str:
    """Make it, or correct it; what is inside is not touched."""
    path = shlex.quote(action.path)
    return f"mkdir -p {path} && chown {action.owner} {path} && chmod {action.mode:04o} {path}"


def enable_unit(action: EnableUnit) -> str:
    """Enable and start; a unit that failed too often is given another try."""
    unit = shlex.quote(action.unit)
    return f"systemctl reset-failed {unit} 2>/dev/null; systemctl enable --now --quiet {unit}"


def run_unit(action: RunUnit) -> str:
    """Run a oneshot unit and wait for it."""
    unit = shlex.quote(action.unit)
    return (
        f"systemctl restart {unit} || "
        f"{{ code=$?; journalctl -n 20 --no-pager -u {unit} >&2; exit $code; }}"
    )


def reload_units(_: ReloadUnits) -> str:
    """Read units anew."""
    return "systemctl daemon-reload"


def configure_daemon(action: ConfigureDaemon) -> str:
    """Validate, write, and make the engine follow; what was there comes back if it does not.

    With live-restore on, containers outlive the restart: it is switched on by a reload and
    confirmed before the restart.
    """
    lines = ["set -e", f"file={DAEMON_JSON}", "new=$file.gpuhost-new", "old=$file.gpuhost-before"]
    lines.append(_BACK)
    if action.text is not None:
        lines += [_WRITE, "mv $new $file"]
    if action.effect != "nothing":
        lines.append(_RELOAD if action.live_restore or action.effect == "reload" else "")
    if action.effect == "restart":
        lines.append(_RESTART)
    lines.append("rm -f $old $old.none")
    return "\n".join(line for line in lines if line)


_BACK = """
back() {
  if [ -e $old ]; then mv $old $file; elif [ -e $old.none ]; then rm -f $file $old.none; fi
  echo "$1; the former daemon.json is in place again" >&2
}"""

_WRITE = """
mkdir -p /etc/docker
(umask 022; base64 -d >$new)
if dockerd --help 2>/dev/null | grep -q -- --validate; then
  dockerd --validate --config-file $new >/dev/null || { rm -f $new; exit 1; }
fi
if [ -e $file ]; then
  chown --reference=$file $new; chmod --reference=$file $new; cp -p $file $old
else
  rm -f $old; touch $old.none
fi
sync $new"""

_RELOAD = """
if systemctl is-active --quiet docker; then
  systemctl reload docker || { back "docker could not be reloaded"; exit 1; }
  if grep -q '"live-restore": true' $file; then
    kept=
    for _ in 1 2 3 4 5 6 7 8 9 10; do
      kept=$(docker info --format '{{.LiveRestoreEnabled}}' 2>/dev/null || true)
      [ "$kept" = true ] && break
      sleep 0.5
    done
    if [ "$kept" != true ]; then
      back "docker did not switch live-restore on"
      systemctl reload docker || true
      exit 1
    fi
  fi
fi"""

_RESTART = """
systemctl reset-failed docker.service 2>/dev/null || true
if ! systemctl restart docker || ! timeout 60 docker info >/dev/null 2>&1; then
  journalctl -n 15 --no-pager -o cat -u docker >&2 || true
  back "docker did not come back"
  systemctl reset-failed docker.service 2>/dev/null || true
  systemctl restart docker || true
  exit 1
fi"""


def prove_gpus(action: ProveGpus, record_path: str) -> str:
    """Compare `nvidia-smi -L` in a container with the host's; write the record if equal."""
    flags = "--device nvidia.com/gpu=all" if action.access == "cdi" else "--gpus all"
    image, record = shlex.quote(action.image), shlex.quote(action.record)
    folder = shlex.quote(record_path.rpartition("/")[0])
    return f"""
host=$(timeout 30 nvidia-smi -L) || {{ echo "nvidia-smi -L fails here: $host" >&2; exit 1; }}
inside=$(timeout 120 docker run --rm --pull never --network none {flags} {image} nvidia-smi -L 2>&1)
if [ "$host" != "$inside" ]; then
  echo "a container sees other GPUs than the host" >&2
  printf 'host:\\n%s\\ncontainer:\\n%s\\n' "$host" "$inside" >&2
  exit 1
fi
mkdir -p {folder} && printf '%s\\n' {record} >{record_path}.new &&
  mv {record_path}.new {record_path}"""


def remove_instance(action: RemoveInstance) -> str:
    """Remove its containers and compose file; storage stays."""
    folder = shlex.quote(compose_path(action.name).rpartition("/")[0])
    return f"python3 {PROGRAM} remove {shlex.quote(action.name)} && rm -rf {folder}"
