"""``NVIDIA_REQUIRE_*``: what an image demands of the driver, and whether a host meets it.

Spaces join alternatives, commas join conditions; several variables must all hold. NVIDIA's
legacy hook enforces this when a container starts; CDI does not look at it at all.
Source: NVIDIA Container Toolkit, "Specialized Configurations with Docker", section Constraints.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from .cuda import MINIMUM_DRIVER, Version

_CONDITION = re.compile(r"(?P<what>[a-z_]+)(?P<sign><=|>=|!=|==|<|>|=)(?P<value>[^<>=!]+)", re.I)
_TRUTHY = {"1", "true", "yes", "on"}


@dataclass(frozen=True)
class Seen:
    """What is known of one GPU and its driver; None: not known."""

    driver: Version | None
    capability: Version | None
    brands: frozenset[str] | None


def requirements(env: Mapping[str, str]) -> tuple[str, ...]:
    """List the demands of an image by its environment; none where it waives them itself."""
    if env.get("NVIDIA_DISABLE_REQUIRE", "").lower() in _TRUTHY:
        return ()
    found = (env[name] for name in sorted(env) if name.startswith("NVIDIA_REQUIRE_"))
    return tuple(" ".join(value.split()) for value in found if value.strip())


def cuda_floor(requirement: str) -> str | None:
    """Name the CUDA release of a plain ``cuda>=X`` alternative, the first if there are several."""
    for alternative in requirement.split():
        match = _CONDITION.fullmatch(alternative)
        if match and match["what"].lower() == "cuda" and match["sign"] == ">=":
            return match["value"]
    return None


def met(requirement: str, seen: Seen) -> bool | None:
    """Judge one variable: met, not met, or None where it cannot be told."""
    verdicts = [_alternative(text, seen) for text in requirement.split()]
    if not verdicts or True in verdicts:
        return True
    return None if None in verdicts else False


def newest_cuda(driver: Version) -> str | None:
    """Name the newest CUDA release this driver serves in full; None below 450.51.05."""
    served = [cuda for cuda, row in MINIMUM_DRIVER.items() if row.native <= driver]
    return served[-1] if served else None


def brands_of(gpu_name: str) -> frozenset[str] | None:
    """Tell what NVML may call the brand of a GPU; None where the name does not say.

    NVML is not consistent across driver versions, so each family answers with all its names.
    """
    name = gpu_name.removeprefix("NVIDIA ").strip()
    for pattern, brands in _BRANDS:
        if re.match(pattern, name, re.IGNORECASE):
            return frozenset(brands.split())
    return None


_BRANDS = (
    (r"GeForce\b", "geforce geforcertx"),
    (r"TITAN\b", "titan titanrtx"),
    (r"Quadro\b", "quadro quadrortx"),
    (r"RTX\b", "nvidiartx quadrortx nvidia"),
    (r"Tesla\b", "tesla"),
    (r"(A2|A10G?|A16|A30|A40|A100|A800|L2|L4|L20|L40S?|H100|H200|H800|H20|B200|B300|"
     r"GH200|GB200|GB300)(?![0-9A-Z]*(-[0-9]+)+[QCBA]\b)\b", "tesla nvidia"),
)  # fmt: skip


def _alternative(text: str, seen: Seen) -> bool | None:
    verdicts = [_condition(part, seen) for part in text.split(",") if part]
    if False in verdicts:
        return False
    return None if None in verdicts else True


def _condition(text: str, seen: Seen) -> bool | None:
    match = _CONDITION.fullmatch(text)
    if not match:
        return None
    what, sign, value = match["what"].lower(), match["sign"], match["value"]
    if what == "brand":
        return _brand(sign, value.lower(), seen.brands)
    wanted = Version.maybe(value)
    if wanted is None:
        return None
    if what == "cuda":
        return _cuda(sign, wanted, seen.driver)
    return _compare({"driver": seen.driver, "arch": seen.capability}.get(what), sign, wanted)


def _brand(sign: str, wanted: str, brands: frozenset[str] | None) -> bool | None:
    if brands is None or sign not in {"=", "==", "!="}:
        return None
    return (wanted in brands) is (sign != "!=")


def _cuda(sign: str, wanted: Version, driver: Version | None) -> bool | None:
    if driver is None:
        return None
    newest = list(MINIMUM_DRIVER)[-1]
    if driver > MINIMUM_DRIVER[newest].native and wanted > Version.parse(newest):
        return None
    served = newest_cuda(driver)
    return _compare(Version.parse(served) if served else Version.parse("0"), sign, wanted)


def _compare(found: Version | None, sign: str, wanted: Version) -> bool | None:
    if found is None:
        return None
    mine, theirs = _same_length(found.numbers, wanted.numbers)
    return {
        "<": mine < theirs,
        "<=": mine <= theirs,
        ">": mine > theirs,
        ">=": mine >= theirs,
        "!=": mine != theirs,
    }.get(sign, mine == theirs)


def _same_length(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    size = max(len(a), len(b))
    return a + (0,) * (size - len(a)), b + (0,) * (size - len(b))
