"""The lab: real hosts on one machine, containers that boot systemd, sshd and their own engine."""

from __future__ import annotations

from tests.lab.gpus import Gpu
from tests.lab.host import Completed, HostError, LabHost
from tests.lab.lab import Lab

__all__ = ["Completed", "Gpu", "HostError", "Lab", "LabHost"]
