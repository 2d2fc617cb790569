"""The switch on the host: Python, the program, and the units that run it and take it up again."""

from gpuhost import templates
from gpuhost.actions import EnableUnit, MakeDirectory, Packages, ReloadUnits, WriteFile
from gpuhost.hostside.places import PROGRAM
from gpuhost.plan import Lines, Stage, Step
from gpuhost.planning.files import drift
from gpuhost.planning.view import View
from gpuhost.switch_program import archive

SWITCH_UNIT = "/etc/systemd/system/gpuhost-switch@.service"
STARTER = "/etc/systemd/system/gpuhost-start.service"
STARTER_ENABLED = "/etc/systemd/system/docker.service.wants/gpuhost-start.service"
FIRST_PYTHON = (3, 9)


def lines(view: View) -> Lines:
    """Steps that let the host switch releases by itself."""
    if not _has_python(view):
        found = view.state.system.python
        yield Step(
            Stage.SWITCH, "python3", found or "missing", "3.9 or newer",
            "the switch is written in it", (Packages("Python", ("python3",)),),
        )  # fmt: skip
    program = WriteFile(PROGRAM, archive())
    if now := drift(view.state, program):
        folder = MakeDirectory(PROGRAM.rpartition("/")[0], 0o755, "0:0")
        yield Step(
            Stage.SWITCH, "switch", now, PROGRAM, "it moves instances between releases",
            (folder, program),
        )  # fmt: skip
    yield from _units(view)


def _has_python(view: View) -> bool:
    numbers = view.state.system.python.split(".")[:2]
    if len(numbers) != 2 or not all(part.isdigit() for part in numbers):
        return False
    return tuple(int(part) for part in numbers) >= FIRST_PYTHON


def _units(view: View) -> Lines:
    unit = WriteFile(SWITCH_UNIT, templates.render("gpuhost-switch@.service").encode())
    if now := drift(view.state, unit):
        yield Step(
            Stage.SWITCH, "switch unit", now, SWITCH_UNIT, "a switch outlives the connection",
            (unit, ReloadUnits()),
        )  # fmt: skip
    starter = WriteFile(STARTER, templates.render("gpuhost-start.service").encode())
    disabled = "" if view.state.file(STARTER_ENABLED).kind == "symlink" else "disabled"
    if now := drift(view.state, starter) or disabled:
        yield Step(
            Stage.SWITCH, "start at boot", now, "enabled",
            "interrupted switches go on, and engines before 28.2 know CDI too late",
            (starter, ReloadUnits(), EnableUnit(STARTER.rpartition("/")[2])),
        )  # fmt: skip
