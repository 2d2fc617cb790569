"""Commands on a host as a person gives them: over SSH."""

from __future__ import annotations

from tests.lab import Lab, LabHost


def words(lab: Lab, host: LabHost, command: str) -> list[str]:
    """`ssh USER@HOST COMMAND`, with the lab's key and known hosts."""
    record = lab.record
    options = ["-o", f"UserKnownHostsFile={record['known_hosts']}", "-o", "BatchMode=yes",
               "-o", "StrictHostKeyChecking=yes", "-i", record["key"]]  # fmt: skip
    return ["ssh", *options, f"{host.user}@{host.address}", command]
