"""Everything planning needs to know about a host, in one remote command."""

import shlex
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from pyinfra.api import FactBase
from pyinfra.api.exceptions import FactProcessError
from typing_extensions import override

from gpuhost.parsing import UnreadableReport, host_state
from gpuhost.state import HostState as State


@cache
def _probe() -> str:
    return Path(__file__).with_name("probe.sh").read_text(encoding="utf-8")


class HostState(FactBase[State]):
    """
    The state of a host, read by one POSIX sh script that needs nothing installed there.

    Every program it calls is bounded by ``timeout``; what is missing, what is broken and what
    is fine stay apart. A report that cannot be read fails this host only.

    + files: paths to stat and hash
    + contents: paths whose bytes planning must read
    + disks: paths whose file system is measured
    + source_words: words that name a package repository, looked for in all sources
    + containers: containers to inspect, and to ask for their GPUs
    + repositories: image repositories to list
    """

    @override
    def command(
        self,
        files: Sequence[str] = (),
        contents: Sequence[str] = (),
        disks: Sequence[str] = (),
        source_words: Sequence[str] = (),
        containers: Sequence[str] = (),
        repositories: Sequence[str] = (),
    ) -> str:
        asked = {
            "FILES": files,
            "CONTENTS": contents,
            "DISKS": disks,
            "SOURCE_WORDS": source_words,
            "CONTAINERS": containers,
            "REPOSITORIES": repositories,
        }
        lines = [f"{name}={shlex.quote(' '.join(words))}" for name, words in asked.items()]
        return "\n".join([*lines, _probe()])

    @override
    def process(self, output: list[str]) -> State:
        try:
            return host_state(output, time.time())
        except UnreadableReport as error:
            raise FactProcessError(str(error)) from error
