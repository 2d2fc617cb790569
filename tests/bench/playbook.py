"""Ansible doing the same job: its own environment, its inventory, its runs."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from gpuhost.hostside.places import PROGRAM
from gpuhost.planning import daemon, engine, registry_login, switch_program, toolkit
from tests.bench import hosts
from tests.bench.hosts import BenchError
from tests.bench.running import ROOT, Run, measured
from tests.lab import Lab, LabHost
from tests.lab.places import recipe_hash
from tests.lab.steps import say, step

FOLDER = Path(__file__).with_name("ansible")
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
VENV = ROOT / ".venv-bench"
LOGIN = "/etc/gpuhost/instances/webui/login"
SITECUSTOMIZE = "/usr/local/lib/gpuhost/inside/sitecustomize.py"
RECAP = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.M)


class Playbook:
    """site.yml against some hosts of the lab.

    :param folder: a private folder for its inventory, the rendered files and its SSH sockets
    """

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab, self.folder = lab, folder

    @property
    def environment(self) -> dict[str, str]:
        """Variables for ansible: its configuration, and a home that is thrown away."""
        return {
            "ANSIBLE_CONFIG": str(FOLDER / "ansible.cfg"),
            "ANSIBLE_HOME": str(self.folder),
        }

    def prepare(self, targets: Sequence[LabHost]) -> None:
        """Take over from each host what gpuhost rendered for it, and write the inventory."""
        entries = {host.name: self._entry(host) for host in targets}
        shared = {
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_ssh_private_key_file": self.lab.record["key"],
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={self.lab.record['known_hosts']}",
            "registry": self.lab.record["registry"]["name"],
            "toolkit_packages": list(toolkit.PACKAGES),
        }
        document = {"webui": {"hosts": entries, "vars": shared}}
        (self.folder / "hosts.yml").write_text(yaml.safe_dump(document), encoding="utf-8")

    def run(self, targets: Sequence[LabHost]) -> Run:
        """One run of the playbook; no host may fail."""
        chosen = ",".join(host.name for host in targets)
        inventory = str(self.folder / "hosts.yml")
        program = str(VENV / "bin" / "ansible-playbook")
        return measured(
            [program, "-i", inventory, "--limit", chosen, str(FOLDER / "site.yml")],
            targets,
            self.environment,
        )

    def no_change(self, targets: Sequence[LabHost]) -> Run:
        """One run that must report changed=0 for every host."""
        run = self.run(targets)
        recap = {name: changed for name, _, changed, *_ in RECAP.findall(run.output)}
        if recap != {host.name: "0" for host in targets}:
            raise BenchError(f"ansible: should change nothing:\n{run.output[-3000:]}")
        return run

    def disconnect(self) -> None:
        """End the SSH connections that ControlPersist keeps open."""
        for socket in (self.folder / "cp").glob("*"):
            subprocess.run(
                ["ssh", "-O", "exit", "-o", f"ControlPath={socket}", "host"],
                check=False, capture_output=True,
            )  # fmt: skip

    def _entry(self, host: LabHost) -> dict[str, Any]:
        login = host.os == "debian13"
        programs = [PROGRAM, *([SITECUSTOMIZE] if login else [])]
        apt = [toolkit.KEY, toolkit.SOURCE, toolkit.PREFERENCES]
        if host.os == "debian12":
            apt = [engine.KEY, engine.SOURCE, *apt]
        registry = self.lab.record["registry"]["name"]
        rendered = self.folder / "rendered" / host.name
        units = [daemon.DROP_IN, switch_program.SWITCH_UNIT, switch_program.STARTER]
        others = [*units, daemon.PATH, f"{registry_login.CLIENT}/config.json",
                  f"/etc/docker/certs.d/{registry}/ca.crt", hosts.COMPOSE]  # fmt: skip
        hosts.read(host, [*apt, *programs, *others, *([LOGIN] if login else [])], rendered)
        compose = yaml.safe_load((rendered / hosts.COMPOSE.lstrip("/")).read_bytes())
        service = compose["services"]["webui"]
        return {
            "ansible_host": host.address,
            "ansible_user": host.user,
            "rendered": str(rendered),
            "apt_files": apt,
            "unit_files": units,
            "programs": programs,
            "webui_login": login,
            "engine_packages": list(
                engine.DOCKER if host.os == "debian12" else engine.DISTRIBUTIONS["debian"]
            ),
            "toolkit_version": _toolkit_version(host),
            "image": service["image"],
            "release": service["labels"]["org.gpuhost.release"],
        }


def ensure_ansible() -> dict[str, str]:
    """Install what is measured against, once; the versions of it."""
    stamp = VENV / ".installed"
    wanted = recipe_hash(REQUIREMENTS)
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        say(f"installing {REQUIREMENTS.relative_to(ROOT)} into {VENV.name} (55 MB download)")
        with step("ansible installed"):
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)
            (VENV / ".gitignore").write_text("*\n", encoding="utf-8")
            pip = [str(VENV / "bin" / "pip"), "install", "--quiet", "--no-warn-script-location"]
            subprocess.run([*pip, "-r", str(REQUIREMENTS)], check=True)
        stamp.write_text(wanted, encoding="utf-8")
    return _versions()


def _versions() -> dict[str, str]:
    python = str(VENV / "bin" / "python")
    code = (
        "import json, pathlib, ansible_collections as c\n"
        "from importlib.metadata import version\n"
        "p = pathlib.Path(list(c.__path__)[0]) / 'community/docker/MANIFEST.json'\n"
        "print(json.dumps({'ansible': version('ansible'), 'ansible-core': version('ansible-core'),"
        " 'community.docker': json.loads(p.read_text())['collection_info']['version']}))"
    )
    done = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    found: dict[str, str] = yaml.safe_load(done.stdout)
    return found


def _toolkit_version(host: LabHost) -> str:
    query = "dpkg-query -W -f '${Version}' nvidia-container-toolkit"
    return host.run(query, check=True).out.strip()
