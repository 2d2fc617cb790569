"""The way back: to a release that this host has proven, without asking anybody."""

from gpuhost.hostside.records import Proven
from gpuhost.plan import Lines, Refusal, Stage, Step
from gpuhost.planning.image import short
from gpuhost.planning.order import again
from gpuhost.planning.records import proven_releases
from gpuhost.planning.view import View
from gpuhost.release import container_name

PREVIOUS = "previous"


def lines(view: View, to: str = PREVIOUS, only: str = "") -> Lines:
    """
    A switch of every instance, or of one, to an earlier release.

    :param to: "previous", or the beginning of a digest or of a release's name
    """
    for name in (one.name for one in view.settings.webui_instances if only in ("", one.name)):
        container = view.state.containers.get(container_name(name))
        running = container.labels.get("org.gpuhost.release", "") if container else ""
        proven = proven_releases(view.state, name)
        good = [one for one in proven if not view.lock.is_quarantined(one.digest)]
        found = chosen(good if to == PREVIOUS else proven, running, to)
        if found is None:
            yield Refusal(
                Stage.INSTANCE, f"instance {name}", f"no proven release to go back to ({to})",
                f"choose among {_known(proven)}" if proven else "deploy a release first",
            )  # fmt: skip
        elif found.release != running:
            yield Step(
                Stage.INSTANCE, f"instance {name}", f"release {running or 'none'}",
                f"release {found.release} proven", f"back to image {short(found.digest)}",
                (again(view, name, found.release, f"back from release {running or 'none'}"),),
            )  # fmt: skip


def chosen(proven: list[Proven], running: str, to: str) -> Proven | None:
    """The release that is meant, newest first."""
    if to == PREVIOUS:
        return next((one for one in proven if one.release != running), None)
    wanted = to.removeprefix("sha256:")
    meant = [
        one
        for one in proven
        if one.release.startswith(wanted) or one.digest.partition(":")[2].startswith(wanted)
    ]
    return meant[0] if meant and len({one.digest for one in meant}) == 1 else None


def _known(proven: list[Proven]) -> str:
    return ", ".join(f"{short(one.digest)} ({one.at[:10]})" for one in proven[:5])
