"""What a valid setting is. Host data goes in, checked values come out.

`group_data/all.py` lists every setting with its default; a test holds the two lists equal.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from gpuhost.kinds import (
    AbsolutePath,
    Address,
    CalendarExpression,
    Digest,
    Fingerprint,
    Gpus,
    ImageReference,
    InstanceName,
    Port,
    Receiver,
    Seconds,
    Size,
    TimeSpan,
    ToolkitVersion,
)


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

    cycle_schedule: CalendarExpression
    cycle_delay: TimeSpan
    cycle_notify: Receiver

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
