"""Repair: the release that should run, made anew where it is not well. Nothing is updated."""

from gpuhost.plan import Lines, Stage, Step
from gpuhost.planning.instance import condition, release_of
from gpuhost.planning.order import again
from gpuhost.planning.records import proven_releases
from gpuhost.planning.view import View
from gpuhost.release import container_name


def lines(view: View, only: str = "") -> Lines:
    """A switch of every instance that is not well to the very release it has."""
    for instance in view.settings.webui_instances:
        if only not in ("", instance.name):
            continue
        proven = [one.release for one in proven_releases(view.state, instance.name)]
        container = view.state.containers.get(container_name(instance.name))
        running = container.labels.get("org.gpuhost.release", "") if container else ""
        release = running if running in proven else next(iter(proven), "")
        found = release_of(view, instance)
        if not release or found is None:
            continue
        now, why = condition(view, found, release)
        if now:
            yield Step(
                Stage.INSTANCE, f"instance {instance.name}", now, f"release {release} proven", why,
                (again(view, instance.name, release, f"{now}: {why}", recreate=True),),
            )  # fmt: skip
