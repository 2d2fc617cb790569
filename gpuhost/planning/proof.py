"""The GPU proof: a container sees exactly the host's GPUs. Remembered until something changes."""

import hashlib

from gpuhost.actions import ProveGpus, PullImage
from gpuhost.plan import Lines, Refusal, Stage, Step
from gpuhost.planning.image import present, pull, unresolved
from gpuhost.planning.view import View

RECORD = "/var/lib/gpuhost/gpu-proof"
CHANGERS = (Stage.DRIVER, Stage.ENGINE, Stage.TOOLKIT)


def lines(view: View) -> Lines:
    """A step when the remembered proof is of another driver, toolkit, engine or set of GPUs."""
    image = view.image(view.settings.toolkit_probe_image)
    found = (view.state.file(RECORD).content or b"").decode(errors="replace").strip()
    wanted = record(view)
    changing = view.replaces(*CHANGERS)
    if found == wanted and not changing:
        return
    if image is None:
        yield unresolved(view, Stage.PROOF, view.settings.toolkit_probe_image)
        return
    actions: list[PullImage | ProveGpus] = []
    if not present(view, image):
        actions.append(pull(image))
    actions.append(ProveGpus(pull(image).reference, view.access, wanted))
    yield Step(
        Stage.PROOF, "gpu in a container", _now(found, changing),
        f"sees {len(view.state.gpus.listing) or 'all'} of the host's GPUs",
        "nothing is called done because a command exited 0", tuple(actions),
    )  # fmt: skip


def record(view: View) -> str:
    """One line that names everything the proof depends on."""
    state = view.state
    seen = hashlib.sha256("\n".join(state.gpus.listing).encode()).hexdigest()[:12]
    return (
        f"driver={state.gpus.driver} toolkit={view.settings.toolkit_version}"
        f" engine={state.engine.version} access={view.access} gpus={seen}"
    )


def _now(found: str, changing: bool) -> str:
    if not found:
        return "unproven"
    return "proof is stale" if not changing else "proof will be stale"


__all__ = ["RECORD", "Refusal", "lines", "record"]
