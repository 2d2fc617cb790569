"""From the probe's report to a `HostState`. Pure: lines in, dataclasses out."""

from collections.abc import Sequence

from gpuhost.parsing.engine import container_map, engine, toolkit
from gpuhost.parsing.gpus import gpus
from gpuhost.parsing.host import disks, files, ports, system
from gpuhost.parsing.sections import Sections, UnreadableReport, sections
from gpuhost.state import HostState

MALFORMED = (ValueError, LookupError, TypeError, AttributeError, RecursionError)

__all__ = ["UnreadableReport", "host_state"]


def host_state(report: Sequence[str], now: float) -> HostState:
    """
    :param report: what `facts/probe.sh` printed, line by line
    :param now: this machine's clock, seconds since the epoch
    :raises UnreadableReport: when a part is missing or not of the expected form
    """
    parts = sections(report)
    try:
        return _host_state(parts, now)
    except MALFORMED as error:
        raise UnreadableReport(f"the host's report: {type(error).__name__}: {error}") from error


def _host_state(parts: Sections, now: float) -> HostState:
    return HostState(
        system=system(parts, now),
        gpus=gpus(parts),
        engine=engine(parts),
        toolkit=toolkit(parts),
        packages=_packages(parts),
        foreign_sources=_sources(parts),
        files=files(parts),
        containers=container_map(parts),
        images=frozenset(line for line in parts["images"].out if "@sha256:" in line)
        if "images" in parts
        else frozenset(),
        disks=disks(parts),
        ports=ports(parts),
        busy_units=tuple(parts["units"].out),
    )


def _packages(parts: Sections) -> dict[str, str]:
    rows = [line.split() for line in parts["packages"].out]
    return {row[0]: row[1] for row in rows if len(row) == 3 and row[2].startswith(("ii", "hi"))}


def _sources(parts: Sections) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for line in parts["sources"].out:
        word, _, path = line.partition(" ")
        found[word] = (*found.get(word, ()), path)
    return found
