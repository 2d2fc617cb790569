"""What one setting may hold: each kind is checked by itself and says what to write instead."""

import ipaddress
import re
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PlainValidator

from gpuhost import cycle, timing
from gpuhost.reference import Reference

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
GPU_UUID = re.compile(r"(GPU|MIG)-[0-9a-fA-F-]{8,}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
FINGERPRINT = re.compile(r"[0-9A-F]{40}")
SIZE = re.compile(r"[0-9]+[kmg]b?", re.IGNORECASE)
TOOLKIT_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)-\d+")
MINIMUM_TOOLKIT = (1, 19, 1)
"""First release without CVE-2026-24260 (NVIDIA bulletin 5850, June 2026)."""


def _absolute(path: str) -> str:
    if not re.fullmatch(r"/[A-Za-z0-9._/@+-]*", path) or ".." in PurePosixPath(path).parts:
        raise ValueError(f"should be an absolute path, got {path!r} (for example '/srv/gpuhost')")
    return path.rstrip("/") or "/"


def _address(address: str) -> str:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise ValueError(
            f"should be an IP address, got {address!r} (for example '127.0.0.1')"
        ) from None
    return address


def _name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise ValueError(
            f"should be lower-case letters, digits and hyphens, got {name!r} (for example 'webui')"
        )
    return name


def _gpus(chosen: Any) -> Any:
    if chosen == "all":
        return chosen
    if not isinstance(chosen, list) or not chosen:
        raise ValueError(f"should be 'all' or a list of GPUs, got {chosen!r} (for example [0])")
    for gpu in chosen:
        index = isinstance(gpu, int) and not isinstance(gpu, bool) and gpu >= 0
        if not index and not (isinstance(gpu, str) and GPU_UUID.fullmatch(gpu)):
            raise ValueError(f"should hold indexes from 0 or GPU-... UUIDs, got {gpu!r}")
    return chosen


def _fingerprint(value: str) -> str:
    packed = value.replace(" ", "").upper()
    if not FINGERPRINT.fullmatch(packed):
        raise ValueError(f"should be the 40 hex digits of a key's fingerprint, got {value!r}")
    return packed


def _pinned(reference: str) -> str:
    name = reference.rpartition("/")[2]
    if "@" not in name and ":" not in name:
        example = f"{reference or 'registry.example/app'}:nightly"
        raise ValueError(f"should pin a tag or digest, got {reference!r} (for example {example!r})")
    repository = reference.partition("@")[0].removesuffix(":" + name.rpartition(":")[2])
    if repository != repository.lower():
        raise ValueError(f"should be lower case, got {reference!r}")
    try:
        Reference.parse(reference)
    except ValueError:
        raise ValueError(
            f"should be an image reference, got {reference!r}"
            " (for example 'registry.example/app:nightly')"
        ) from None
    return reference


def _digest(value: str) -> str:
    if not DIGEST.fullmatch(value):
        raise ValueError(f"should be 'sha256:' and 64 hex digits, got {value!r}")
    return value


def _size(value: str) -> str:
    if not SIZE.fullmatch(value):
        raise ValueError(f"should be a size such as '2g' or '512m', got {value!r}")
    return value


def _toolkit(version: str) -> str:
    found = TOOLKIT_VERSION.fullmatch(version)
    if not found:
        raise ValueError(f"should be a package version such as '1.20.0-1', got {version!r}")
    if tuple(int(part) for part in found.groups()) < MINIMUM_TOOLKIT:
        raise ValueError(
            f"should be 1.19.1-1 or newer (CVE-2026-24260), got {version!r} "
            "(for example '1.20.0-1')"
        )
    return version


AbsolutePath = Annotated[str, AfterValidator(_absolute)]
Address = Annotated[str, AfterValidator(_address)]
CalendarExpression = Annotated[str, AfterValidator(timing.calendar)]
Digest = Annotated[str, AfterValidator(_digest)]
Fingerprint = Annotated[str, AfterValidator(_fingerprint)]
Gpus = Annotated[Literal["all"] | list[int | str], PlainValidator(_gpus)]
ImageReference = Annotated[str, AfterValidator(_pinned)]
InstanceName = Annotated[str, AfterValidator(_name)]
Receiver = Annotated[str, AfterValidator(cycle.receiver)]
Size = Annotated[str, AfterValidator(_size)]
TimeSpan = Annotated[str, AfterValidator(timing.span)]
ToolkitVersion = Annotated[str, AfterValidator(_toolkit)]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[int, Field(ge=1, le=86_400)]
