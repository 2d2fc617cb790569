"""What tags meant when they were resolved: `inventories/NAME.lock.yaml`."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

VERSION = 1
KEPT_LABELS = ("org.gpuhost.", "org.opencontainers.image.version", "com.nvidia.")
KEPT_VARIABLES = ("NVIDIA_REQUIRE_CUDA", "CUDA_VERSION")


class LockError(ValueError):
    """A lock file that cannot be read."""


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

    @property
    def key(self) -> str:
        """How this image is found in a lock."""
        return key(self.reference, self.platform)


@dataclass(frozen=True)
class Lock:
    """The images of an inventory, by the reference its settings name.

    `problems` says why a reference has none: the registry's answer, one line.
    """

    images: Mapping[str, LockedImage] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)

    def with_image(self, image: LockedImage) -> "Lock":
        """This lock, with one more image."""
        return Lock({**self.images, image.key: image}, self.problems)

    def with_problem(self, name: str, problem: str) -> "Lock":
        """This lock, with the reason why one key has no image."""
        return Lock(self.images, {**self.problems, name: problem})


def key(reference: str, platform: str) -> str:
    """How an image is found in a lock: its reference, and its platform if it is not amd64."""
    return reference if platform == "linux/amd64" else f"{reference} ({platform})"


def kept(values: Mapping[str, str], prefixes: tuple[str, ...]) -> dict[str, str]:
    """The labels or variables that planning reads; the rest does not belong in a lock."""
    return {key: values[key] for key in sorted(values) if key.startswith(prefixes)}


def read(path: Path) -> Lock:
    """An empty lock where there is no file.

    :raises LockError: in one line, when the file is not a lock
    """
    if not path.exists():
        return Lock()
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        images = [
            LockedImage(reference=name.split(" (")[0], **rest)
            for name, rest in document["images"].items()
        ]
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise LockError(
            f"{path}: should be a lock of images, got {reason}"
            " (restore it, or remove it to resolve anew)"
        ) from error
    return Lock({image.key: image for image in images})


def write(path: Path, lock: Lock) -> None:
    """Replace the file atomically; it is readable by all and holds no secrets."""
    document = {
        "version": VERSION,
        "images": {name: _entry(image) for name, image in sorted(lock.images.items())},
    }
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write("# What tags meant when they were resolved. Deploys converge to this.\n")
        yaml.safe_dump(document, file, sort_keys=False, allow_unicode=True)
        file.flush()
        os.fsync(file.fileno())
    Path(temporary).chmod(0o644)
    Path(temporary).replace(path)


def _entry(image: LockedImage) -> dict[str, Any]:
    entry = asdict(image)
    del entry["reference"]
    return {key: value for key, value in entry.items() if value not in ("", {})}
