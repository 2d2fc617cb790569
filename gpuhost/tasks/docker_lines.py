"""`gpuhost.tasks.explain`: what compose is told, as `docker run`."""

from gpuhost.planning.instance import release_of
from gpuhost.tasks.gathering import NOTHING, REFUSED, everybody, leave, look


def explain() -> None:
    """Print the `docker run` line that is the same container as each instance's compose file."""
    look()
    if (hosts := everybody()) is None:
        return
    for name, seen in hosts.items():
        if (session := seen.session) is None:
            continue
        for instance in session.settings.webui_instances:
            release = release_of(session.view, instance)
            print(f"# {name}: instance {instance.name}")
            print(release.docker_run_line() if release else "# its image is not resolved")
    leave(NOTHING if all(one.session for one in hosts.values()) else REFUSED)
