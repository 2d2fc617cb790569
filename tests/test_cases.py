"""Data cases for facts and operations, in pyinfra-testing's form.

Its operation cases know commands by their text; ours are functions that look at the host first,
so tests/test_operations.py holds what each action runs.
"""

from pathlib import Path
from unittest.mock import patch

import pytest
import yaml
from pyinfra.api.exceptions import FactProcessError

from gpuhost.facts import host_state
from gpuhost.facts.host_state import HostState

with patch("gevent.monkey.patch_all"):  # pyinfra's command line would patch this whole process
    from pyinfra_testing import facts as harness

HERE = Path(__file__).parent
PROBE = Path(host_state.__file__).with_name("probe.sh").read_text()


def _with_probe(loader, node):
    """`!probe ASSIGNMENTS` is a whole command: the questions, then the probe itself."""
    return f"{loader.construct_scalar(node)}\n{PROBE}"


def _encoded(value, usual=harness._json_default):
    return sorted(value) if isinstance(value, frozenset) else usual(value)


yaml.SafeLoader.add_constructor("!probe", _with_probe)
harness._json_default = _encoded

HostStateCases = harness.make_fact_tests(
    "gpuhost", "facts.host_state.HostState", HERE / "facts" / "host_state"
)


def test_a_report_that_cannot_be_read_fails_this_host_only():
    with pytest.raises(FactProcessError, match=r"^the host's report: should start with '@'"):
        HostState().process(["Last login: yesterday"])


def test_the_host_needs_nothing_installed_and_no_pyinfra_checks_for_it():
    assert not HostState().requires_command()


def test_what_is_asked_is_quoted():
    command = HostState().command(files=["/a; reboot"], containers=["$(reboot)"])
    assert command.startswith("FILES='/a; reboot'\nCONTENTS=''\n")
    assert "\nCONTAINERS='$(reboot)'\n" in command
