"""The end of a run, while the hosts are still connected: what became of it, and the lock."""

import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click
from pyinfra.api import State
from pyinfra.api.exceptions import PyinfraError

from gpuhost import lock as locks
from gpuhost import report, rollout
from gpuhost.lock import LockedImage, Quarantined
from gpuhost.notify import send
from gpuhost.session import Session
from gpuhost.verdict import HostVerdict, Verdict, five_lines

MOVING = ("update", "cycle")


def conclude(state: State) -> None:
    """Write what failed into the lock's quarantine; move the lock if all hosts passed.

    :raises PyinfraError: when the lock cannot be written, so that the run does not look well
    """
    found = report.sessions()
    if not found or _only_looked():
        return
    try:
        _conclude(state, found)
    except (locks.LockError, OSError) as error:
        raise PyinfraError(f"the lock stays as it is: {error}") from error


def _conclude(state: State, found: list[Session]) -> None:
    verdicts = report.verdicts(_expected(state))
    for session in found:
        _quarantine(session)
    verb = found[0].verb
    if verb in MOVING:
        _move(found, rollout.why_not(verdicts))
    elif verb == "rollback":
        _move_back(found, rollout.why_not(verdicts))
    elif verb == "unquarantine":
        _lift(found[0])
    if verb == "cycle":
        _tell(found[0], verdicts)


def _expected(state: State) -> list[str]:
    lost = {host.name for host in state.failed_hosts}
    return sorted({host.name for host in state.activated_hosts} | lost)


def _only_looked() -> bool:
    context = click.get_current_context(silent=True)
    return bool(context and context.params.get("dry"))


def _move(found: list[Session], problem: str) -> None:
    for remark in dict.fromkeys(text for one in found for text in _remarks(one)):
        click.echo(f"--> {remark}", err=True)
    if problem:
        click.echo(f"--> The lock stays as it is: {problem}", err=True)
        return
    for session in found:
        session.resolver.keep(session.settings, session.view.platform)
    for name in found[0].resolver.commit([one.image_key for one in found]):
        click.echo(f"--> The lock has moved: {name}", err=True)


def _remarks(session: Session) -> Iterator[str]:
    """Why an image stays what it is, and whether it is an old one."""
    if remark := session.resolver.remarks.get(session.image_key):
        yield remark
    image = session.resolver.lock.images.get(session.image_key)
    now = datetime.now(timezone.utc)
    if image and (age := locks.stale(image, session.settings.image_stale_days, now)):
        yield f"{session.settings.image_reference} is stale: {age}"


def _move_back(found: list[Session], problem: str) -> None:
    """After a rollback the reference means the image that runs again."""
    if problem:
        click.echo(f"--> The lock stays as it is: {problem}", err=True)
        return
    by_key: dict[str, list[Session]] = {}
    for one in found:
        by_key.setdefault(one.image_key, []).append(one)
    for name, hosts in by_key.items():
        digests = {digest for one in hosts for digest in one.running_digests}
        old = hosts[0].resolver.written.images.get(name)
        if old is None or digests == {old.digest}:
            continue
        if len(digests) != 1 or "@" in old.reference:
            why = "hosts run several images" if len(digests) != 1 else "image_reference is a digest"
            click.echo(f"--> The lock stays as it is: {why}; the next deploy follows it", err=True)
            continue
        hosts[0].resolver.quarantine([_left(old, hosts[0].by)])
        hosts[0].resolver.move_to(_known(hosts[0], old, digests.pop()))
        click.echo(f"--> The lock has moved back: {name}", err=True)


def _left(image: LockedImage, by: str) -> Quarantined:
    at = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    return Quarantined(image.digest, image.reference, "person", f"rolled back by {by}", by, at)


def _known(session: Session, old: LockedImage, digest: str) -> LockedImage:
    """An image of the lock's past, or what little is known of it."""
    try:
        return session.resolver.written.image_of(digest, old.key)
    except locks.LockError:
        return LockedImage(old.reference, digest, old.platform, "", 0)


def _quarantine(session: Session) -> None:
    """What failed its gates on a host that had a way back is not tried again anywhere."""
    image = session.settings.image_reference
    entries = [
        Quarantined(one.digest, image, one.gate, one.reason, session.host.name, one.ended)
        for one in report.switches(session.host.name)
        if one.blames_image
    ]
    if entries:
        session.resolver.quarantine(entries)


def _lift(session: Session) -> None:
    for one in session.resolver.lift(session.asked("digest") or None):
        click.echo(f"--> The lock's quarantine no longer holds {one.digest}: {one}", err=True)


def _tell(session: Session, verdicts: dict[str, HostVerdict]) -> None:
    path: Any = getattr(session.host.state, "gpuhost_inventory", None)
    verdict = Verdict(
        inventory=Path(path).stem if path else "hosts",
        what="cycle",
        at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(report.BEGAN[0])),
        seconds=time.monotonic() - report.BEGAN[1],
        hosts=verdicts,
    )
    click.echo(five_lines(verdict))
    if problem := send(session.settings.cycle_notify, verdict.document()):
        click.echo(f"--> {problem}", err=True)
