"""What tags mean in an inventory, what they meant before, and what has failed its gates."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timezone

KEPT_LABELS = ("org.gpuhost.", "org.opencontainers.image.version", "com.nvidia.")
KEPT_VARIABLES = ("NVIDIA_REQUIRE_CUDA", "CUDA_VERSION")
MOST_REPLACED = 10
MOST_QUARANTINED = 50
MOST_REASON = 400
DIGEST = re.compile("sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
FIRST_IMAGES = 2013
"""The year Docker came out; an older date only stands in for one, as in reproducible builds."""


class LockError(ValueError):
    """A lock that cannot be read, or does not hold what is asked of it."""


class NoSuchImage(LockError):
    """A digest that the lock does not hold."""


@dataclass(frozen=True)
class LockedImage:
    """One image as it was resolved."""

    reference: str
    digest: str
    platform: str
    created: str
    size: int
    """Compressed bytes, of all layers."""
    labels: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    resolved_at: str = ""
    resolved_by: str = ""
    resolved_from: str = ""
    """The tag or digest that was asked for, where it is not the reference's own."""
    layers: tuple[tuple[str, int], ...] = ()
    """First 12 hex digits of each layer's diff_id, and its compressed bytes; bottom first."""

    @property
    def key(self) -> str:
        """How this image is found in a lock."""
        return key(self.reference, self.platform)


@dataclass(frozen=True)
class Replaced:
    """An image that a reference meant before."""

    image: LockedImage
    replaced_at: str
    replaced_by: str


@dataclass(frozen=True)
class Quarantined:
    """A digest that failed a gate on a host."""

    digest: str
    reference: str
    gate: str
    reason: str
    host: str
    at: str

    def __str__(self) -> str:
        return f"gate {self.gate} failed on {self.host}, {self.at[:10]}"


@dataclass(frozen=True)
class Lock:
    """The images of an inventory, by the reference its settings name.

    `problems` says why a reference has none: the registry's answer, one line. `history` and
    `quarantine` are newest first.
    """

    images: Mapping[str, LockedImage] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    history: Mapping[str, tuple[Replaced, ...]] = field(default_factory=dict)
    quarantine: tuple[Quarantined, ...] = ()

    def with_image(self, image: LockedImage) -> "Lock":
        """This lock, with one more image."""
        return replace(self, images={**self.images, image.key: image})

    def with_problem(self, name: str, problem: str) -> "Lock":
        """This lock, with the reason why one key has no image (any more)."""
        images = {key: image for key, image in self.images.items() if key != name}
        return replace(self, images=images, problems={**self.problems, name: problem})

    def moved(self, image: LockedImage, at: str, by: str) -> "Lock":
        """This lock with an image instead of the one before it, which becomes history."""
        old = self.images.get(image.key)
        if old is None or old.digest == image.digest:
            return self if old else self.with_image(image)
        replaced = (Replaced(old, at, by), *self.history.get(image.key, ()))
        history = {**self.history, image.key: replaced[:MOST_REPLACED]}
        return replace(self.with_image(image), history=history)

    def quarantined(self, entry: Quarantined) -> "Lock":
        """This lock, where a digest may not be moved to any more; once for each host it failed on.

        Of too many entries those go first whose digest another entry still holds.
        """
        if any((one.digest, one.host) == (entry.digest, entry.host) for one in self.quarantine):
            return self
        entries = [replace(entry, reason=_line(entry.reason)), *self.quarantine]
        if len(entries) > MOST_QUARANTINED:
            digests = [one.digest for one in entries]
            spare = [i for i, digest in enumerate(digests) if digest in digests[:i]]
            del entries[spare[-1] if spare else -1]
        return replace(self, quarantine=tuple(entries))

    def lifted(self, digest: str | None) -> tuple["Lock", tuple[Quarantined, ...]]:
        """This lock without the quarantine of a digest or prefix, or of all; and what was lifted.

        :raises LockError: when it is no digest, or the prefix of several
        """
        wanted = {entry.digest for entry in self.quarantine}
        if digest is not None:
            wanted = {found} if (found := _only(digest, wanted)) else set()
        gone = tuple(entry for entry in self.quarantine if entry.digest in wanted)
        kept = tuple(entry for entry in self.quarantine if entry.digest not in wanted)
        return (replace(self, quarantine=kept) if gone else self), gone

    def quarantine_of(self, digest: str) -> tuple[Quarantined, ...]:
        """Where a digest has failed, newest first."""
        return tuple(entry for entry in self.quarantine if entry.digest == digest)

    def is_quarantined(self, digest: str) -> bool:
        """Whether a digest has failed anywhere."""
        return bool(self.quarantine_of(digest))

    def image_of(self, digest: str, name: str = "") -> LockedImage:
        """The image with a digest or prefix of one, current before replaced, of one key or of all.

        :raises LockError: when there is none, or there are several
        """
        names = [name] if name else sorted({*self.images, *self.history})
        known = [self.images[one] for one in names if one in self.images]
        known += [old.image for one in names for old in self.history.get(one, ())]
        digests = list(dict.fromkeys(image.digest for image in known))
        if found := _only(digest, digests):
            return next(image for image in known if image.digest == found)
        have = ", ".join(map(_short, digests[:5])) or "none"
        raise NoSuchImage(
            f"digest {digest}: the lock has no such image, newest first it has {have}"
        )


def key(reference: str, platform: str) -> str:
    """How an image is found in a lock: its reference, and its platform if it is not amd64."""
    return reference if platform == "linux/amd64" else f"{reference} ({platform})"


def kept(values: Mapping[str, str], prefixes: tuple[str, ...]) -> dict[str, str]:
    """The labels or variables that planning reads; the rest does not belong in a lock."""
    return {key: _writable(values[key]) for key in sorted(values) if key.startswith(prefixes)}


def stale(image: LockedImage, days: int, now: datetime) -> str:
    """When the image was built, if that is more days ago; "" too for days 0 and for odd dates."""
    try:
        built = date.fromisoformat(image.created[:10])
    except ValueError:
        return ""
    today = now.astimezone(timezone.utc).date() if now.tzinfo else now.date()
    age = (today - built).days
    if days < 1 or age <= days or built.year < FIRST_IMAGES:
        return ""
    return f"built {built.isoformat()}, {age} days ago"


def _only(digest: str, known: Iterable[str]) -> str:
    """The one known digest that a text means; "" for none."""
    algorithm, _, digits = digest.strip().lower().rpartition(":")
    if not re.fullmatch("[0-9a-f]{6,128}", digits) or algorithm not in ("", "sha256", "sha512"):
        raise LockError(
            f"digest {digest!r}: should be 'sha256:' and 64 hex digits, or 6 or more of the first"
        )
    parts = [(one, *one.partition(":")[::2]) for one in known]
    found = [one for one, of, hexes in parts if hexes.startswith(digits) and algorithm in ("", of)]
    if len(found) > 1:
        several = ", ".join(sorted(map(_short, found)))
        raise LockError(f"digest {digest}: starts several ({several}); give more digits")
    return found[0] if found else ""


def _short(digest: str) -> str:
    return digest.rpartition(":")[2][:12]


def _line(text: str) -> str:
    return " ".join(_writable(text).split())[:MOST_REASON]


def _writable(text: str) -> str:
    """A text without the halves of characters that UTF-8 has no bytes for."""
    return text.encode(errors="replace").decode()
