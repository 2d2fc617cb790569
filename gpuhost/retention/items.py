"""What is decided on, one thing a line, and the orders that follow from it."""

from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["container", "image", "network", "release", "build cache"]


@dataclass(frozen=True)
class Item:
    """One thing on a host that stays or goes."""

    kind: Kind
    id: str
    name: str
    """For people."""
    why: str
    size: int = 0
    own: int | None = None
    """Bytes that no other image has; None where that is not known."""
    instance: str = ""
    names: tuple[str, ...] = ()
    """An image's tags and digests."""
    image: str = ""
    """ID of the image that has to go before a release does; "" where it need not."""


@dataclass(frozen=True)
class Retention:
    """What stays, what goes, and the switches that were over when that was decided."""

    kept: tuple[Item, ...] = ()
    removed: tuple[Item, ...] = ()
    journals: tuple[tuple[str, str], ...] = ()
    """Instance and ID of its last switch, "" for none."""
    build_cache: int | None = None
    """Bytes to cut the build cache to; None leaves it."""

    @property
    def size(self) -> int:
        """Bytes of what goes; layers that images share are counted with each."""
        return sum(item.size for item in self.removed)

    @property
    def own(self) -> int:
        """The least number of bytes that this frees."""
        return sum(item.size if item.own is None else item.own for item in self.removed)

    def of(self, kind: Kind) -> tuple[Item, ...]:
        """What goes, of one kind."""
        return tuple(item for item in self.removed if item.kind == kind)

    def orders(self) -> dict[str, Any]:
        """What `hostside.pruning` takes."""
        return {
            "version": 1,
            "journals": dict(self.journals),
            "containers": [
                {"id": one.id, "name": one.name, "instance": one.instance}
                for one in self.of("container")
            ],
            "images": [
                {"id": one.id, "name": one.name, "names": list(one.names), "size": one.size}
                for one in self.of("image")
            ],
            "networks": [
                {"id": one.id, "name": one.name, "instance": one.instance}
                for one in self.of("network")
            ],
            "releases": [
                {"id": one.id, "instance": one.instance, "image": one.image}
                for one in self.of("release")
            ],
            "build_cache": self.build_cache,
        }
