"""What a host holds and remembers: the report of its own program."""

import json

from pyinfra.api import FactBase
from pyinfra.api.exceptions import FactProcessError
from typing_extensions import override

from gpuhost import host_records
from gpuhost.host_records import UnreadableRecords
from gpuhost.hostside.places import PROGRAM

LIMIT = 300
"""Seconds for the host to report."""
ABSENT = "absent"


class HostRecords(FactBase[host_records.HostRecords]):
    """
    Releases, switches, images and containers of a host, as its own ``switch.pyz`` reports them.

    A host without that program has an empty report that says so. A report that cannot be read
    fails this host only.
    """

    @override
    def command(self) -> str:
        program = f"timeout -k 5 {LIMIT} python3 {PROGRAM} report"
        return f"if [ -e {PROGRAM} ]; then {program}; else echo {ABSENT}; fi"

    @override
    def process(self, output: list[str]) -> host_records.HostRecords:
        if output[-1].strip() == ABSENT:
            return host_records.HostRecords(problem=host_records.NOT_INSTALLED)
        try:
            return host_records.read(json.loads(output[-1]))
        except UnreadableRecords as error:
            raise FactProcessError(f"report of {PROGRAM}: {error}") from error
        except ValueError as error:
            raise FactProcessError(f"report of {PROGRAM}: not JSON: {output[-1][:80]!r}") from error
