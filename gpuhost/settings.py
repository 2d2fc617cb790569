"""What a valid setting is. Host data goes in, checked values come out.

`group_data/all.py` lists every setting with its default; a test holds the two lists equal.
"""

import ipaddress
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PlainValidator,
    TypeAdapter,
    ValidationError,
    model_validator,
)

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
Digest = Annotated[str, AfterValidator(_digest)]
Fingerprint = Annotated[str, AfterValidator(_fingerprint)]
Gpus = Annotated[Literal["all"] | list[int | str], PlainValidator(_gpus)]
ImageReference = Annotated[str, AfterValidator(_pinned)]
InstanceName = Annotated[str, AfterValidator(_name)]
Size = Annotated[str, AfterValidator(_size)]
ToolkitVersion = Annotated[str, AfterValidator(_toolkit)]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[int, Field(ge=1, le=86_400)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Instance(_Strict):
    """One running WebUI on a host: its name, its GPUs, its port, its flags."""

    name: InstanceName
    gpus: Gpus = "all"
    port: Port = 7860
    flags: str = ""
    address: Address | None = None
    storage: AbsolutePath | None = None

    @property
    def flag_list(self) -> list[str]:
        """The flags as the image's shell splits them: at blanks, without quoting."""
        return self.flags.split()


class Settings(_Strict):
    """Every setting of one host. Defaults stand in `group_data/all.py`, not here."""

    engine_source: Literal["docker", "distro", "present"]
    engine_version: str
    engine_replace: bool
    engine_live_restore: bool
    engine_registry_mirrors: list[str]
    engine_options: dict[str, JsonValue]
    engine_apt_url: str
    engine_apt_key: str
    engine_apt_fingerprint: Fingerprint
    engine_rpm_url: str
    engine_rpm_key: str
    engine_rpm_fingerprint: Fingerprint

    driver_manage: bool
    driver_reboot: bool
    driver_apt_url: str
    driver_apt_keyring: AbsolutePath
    driver_packages: list[str]

    toolkit_version: ToolkitVersion
    toolkit_gpu_access: Literal["auto", "cdi", "hook"]
    toolkit_probe_image: ImageReference
    toolkit_apt_url: str
    toolkit_apt_key: str
    toolkit_apt_fingerprint: Fingerprint
    toolkit_rpm_url: str

    image_reference: ImageReference
    image_cuda: str
    image_arch_list: str
    image_unpack_ratio: Annotated[float, Field(ge=1, le=10)]
    image_reserve_gb: Annotated[int, Field(ge=0)]
    image_registry_endpoint: str
    image_registry_user: str
    image_registry_password_env: str
    image_registry_password_file: str
    image_registry_ca: str
    image_stale_days: Annotated[int, Field(ge=0)]

    webui_instances: Annotated[list[Instance], Field(min_length=1)]
    webui_address: Address
    webui_insecure: bool
    webui_user: str
    webui_password_env: str
    webui_password_file: str
    webui_environment: dict[str, str]
    webui_shm_size: Size
    webui_stop_timeout: Seconds
    webui_log_size: Size
    webui_log_files: Annotated[int, Field(ge=1, le=100)]

    storage_path: AbsolutePath
    storage_uid: Annotated[int, Field(ge=1, le=65_534)]
    storage_gid: Annotated[int, Field(ge=1, le=65_534)]
    storage_reserve_gb: Annotated[int, Field(ge=0)]

    gate_start_timeout: Seconds
    gate_gpu: bool
    gate_picture: bool
    gate_picture_timeout: Seconds
    gate_bake: Annotated[int, Field(ge=0, le=86_400)]
    gate_slowdown: Annotated[float, Field(ge=0, le=10)]

    drain_timeout: Annotated[int, Field(ge=0, le=86_400)]
    drain_on_timeout: Literal["skip", "force"]

    prune_keep: Annotated[int, Field(ge=1, le=100)]
    prune_keep_failed_days: Annotated[int, Field(ge=0, le=3650)]
    prune_pinned: list[Digest]
    prune_build_cache_gb: Annotated[int, Field(ge=0)]

    cycle_schedule: str
    cycle_delay: str
    cycle_notify: str

    def address_of(self, instance: Instance) -> str:
        """The host address an instance is published on."""
        return instance.address or self.webui_address

    def storage_of(self, instance: Instance) -> str:
        """The directory an instance keeps its state in, absolute on the host."""
        return instance.storage or f"{self.storage_path}/{instance.name}"

    @model_validator(mode="after")
    def _agree(self) -> "Settings":
        from gpuhost.agreement import disagreements

        if found := list(disagreements(self)):
            raise ValueError("\n".join(found))
        return self


def read(data: Mapping[str, Any]) -> Settings:
    """Check one host's data.

    :raises pydantic.ValidationError: with everything that is wrong at once
    """
    return Settings.model_validate(dict(data))


def valid_part(data: Mapping[str, Any]) -> Settings:
    """The settings that are valid by themselves; asking it for another is an AttributeError."""
    found = {}
    for key, field in Settings.model_fields.items():
        with suppress(KeyError, ValidationError):
            kind: Any = Annotated[field.annotation, field]
            found[key] = TypeAdapter(kind).validate_python(data[key], strict=True)
    return Settings.model_construct(**found)
