"""python -m tests.lab up | down | status | gpu | reboot."""

from __future__ import annotations

import argparse
import sys

from tests.lab import gpus, status
from tests.lab.engine import EngineError
from tests.lab.host import HostError
from tests.lab.lab import Lab, down
from tests.lab.machine import MachineError
from tests.lab.steps import step


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 1 and one line on stderr when it cannot be done."""
    given = _parser().parse_args(arguments)
    try:
        _do(given)
    except (EngineError, HostError, MachineError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _do(given: argparse.Namespace) -> None:
    if given.command == "up":
        with step(f"lab up, {given.hosts} hosts"):
            Lab.up(given.hosts)
        status.show()
    elif given.command == "down":
        down(given.all)
    elif given.command == "status":
        status.show()
    elif given.command == "gpu":
        Lab.load().host(given.host).set_mode(given.mode)
    else:
        with step(f"{given.host}: rebooted"):
            Lab.load().host(given.host).reboot()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="bring up engine, services and hosts")
    up.add_argument("--hosts", type=int, default=2, help="how many, at least (default 2)")
    down_ = commands.add_parser("down", help="remove the hosts")
    down_.add_argument("--all", action="store_true", help="services, network and engine too")
    commands.add_parser("status", help="show what runs")
    gpu = commands.add_parser("gpu", help="make a host's GPUs fail, or 'ok' again")
    gpu.add_argument("host")
    gpu.add_argument("mode", choices=gpus.MODES)
    reboot = commands.add_parser("reboot", help="restart a host")
    reboot.add_argument("host")
    return parser


if __name__ == "__main__":
    sys.exit(main())
