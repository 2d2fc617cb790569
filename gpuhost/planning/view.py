"""What a stage looks at when it decides."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from gpuhost.actions import Packages, Reboot
from gpuhost.lock import Lock, LockedImage, key
from gpuhost.plan import Line, Lines, Stage, Step
from gpuhost.secrets import Secrets
from gpuhost.settings import Settings
from gpuhost.state import HostState

FIRST_CDI_ENGINE = (25, 0)
"""First Docker Engine that can inject CDI devices (moby 25.0 release notes)."""


@dataclass
class View:
    """State, settings and lock, and the lines that the stages before this one yielded."""

    state: HostState
    settings: Settings
    lock: Lock
    secrets: Secrets
    verb: str = "deploy"
    by: str = ""
    """Who asked, for the journal: a user and a machine."""
    planned: list[Line] = field(default_factory=list)

    def extended(self, stage: Callable[["View"], Lines]) -> Lines:
        """Run one stage and remember what it yields."""
        for line in stage(self):
            self.planned.append(line)
            yield line

    def replaces(self, *stages: Stage) -> bool:
        """Whether one of these stages will install packages or reboot, not just write files."""
        steps = (line for line in self.planned if isinstance(line, Step) and line.stage in stages)
        return any(isinstance(one, Packages | Reboot) for step in steps for one in step.actions)

    @property
    def access(self) -> Literal["cdi", "hook"]:
        """How GPUs reach containers: CDI where the engine can, so no reload takes them away."""
        if self.settings.toolkit_gpu_access != "auto":
            return self.settings.toolkit_gpu_access
        numbers = self.state.engine.numbers
        return "hook" if (0, 0) < numbers < FIRST_CDI_ENGINE else "cdi"

    def image(self, reference: str) -> LockedImage | None:
        """What a reference was resolved to, for this host's platform."""
        return self.lock.images.get(key(reference, self.platform))

    @property
    def platform(self) -> str:
        """This host's platform, as registries name it."""
        return f"linux/{self.state.system.deb_arch}"
