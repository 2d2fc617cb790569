"""What a switch is asked to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Request:
    """One order; the release it names lies in the store."""

    release: str
    kind: str = "deploy"
    """The verb: deploy, update, rollback or repair."""
    why: str = ""
    by: str = ""
    recreate: bool = False
    """Make the container anew even where the right one runs."""
    layers: tuple[tuple[str, int], ...] = ()
    """diff_id (its first hex digits suffice) and compressed bytes of each layer, bottom first."""
    ratio: float = 3.0
    """Bytes on disk per compressed byte."""
    reserve: int = 0
    """Bytes to leave free where images lie."""
    driver: str = ""
    """The driver that the image was found to fit."""
    client: str = ""
    """Folder of the docker client's config with the registry's login."""
    proof: bool = True
    """Whether a container of the image must see the GPUs before anything is stopped."""
    drain_timeout: int = 600
    drain_on_timeout: str = "skip"

    def to_json(self) -> dict[str, Any]:
        """As it lies on the disk."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Any) -> Request:
        """:raises ValueError: when it is none"""
        if not isinstance(document, dict) or not isinstance(document.get("release"), str):
            raise ValueError("request: should name a release")
        known = {one.name for one in fields(cls)}
        values = {key: value for key, value in document.items() if key in known}
        try:
            layers = values.get("layers", ())
            values["layers"] = tuple((str(one), int(size)) for one, size in layers)
        except TypeError:
            raise ValueError("request: layers should be pairs of a name and a size") from None
        return cls(**values)
