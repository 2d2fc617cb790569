"""The switch on the host: Python, the program, and the units that run it and take it up again."""

from gpuhost import templates
from gpuhost.actions import EnableUnit, MakeDirectory, Packages, ReloadUnits, WriteFile
from gpuhost.hostside.places import PROGRAM
from gpuhost.plan import Lines, Refusal, Stage, Step
from gpuhost.planning.files import drift
from gpuhost.planning.view import View
from gpuhost.switch_program import archive

SWITCH_UNIT = "/etc/systemd/system/gpuhost-switch@.service"
STARTER = "/etc/systemd/system/gpuhost-start.service"
STARTER_ENABLED = "/etc/systemd/system/docker.service.wants/gpuhost-start.service"
FIRST_PYTHON = (3, 9)


def lines(view: View) -> Lines:
    """Steps that let the host switch releases by itself."""
    yield from _python(view.state.system.python)
    program = WriteFile(PROGRAM, archive())
    if now := drift(view.state, program):
        folder = MakeDirectory(PROGRAM.rpartition("/")[0], 0o755, "0:0")
        yield Step(
            Stage.SWITCH, "switch", now, PROGRAM, "it moves instances between releases",
            (folder, program),
        )  # fmt: skip
    yield from _units(view)


def _python(found: str) -> Lines:
    if not found:
        yield Step(
            Stage.SWITCH, "python3", "missing", "3.9 or newer",
            "the switch is written in it", (Packages("Python", ("python3",)),),
        )  # fmt: skip
    elif not _is_new_enough(found):
        yield Refusal(
            Stage.SWITCH, "python3", f"{found}, needs 3.9 or newer",
            "upgrade the distribution, or link a newer one to /usr/local/bin/python3",
        )  # fmt: skip


def _is_new_enough(version: str) -> bool:
    numbers = version.split(".")[:2]
    return all(part.isdigit() for part in numbers) and tuple(map(int, numbers)) >= FIRST_PYTHON


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
