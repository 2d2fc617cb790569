"""Settings that are each valid and do not go together."""

import ipaddress
from collections.abc import Iterator
from itertools import combinations
from typing import TYPE_CHECKING

from gpuhost.cycle import passwords

if TYPE_CHECKING:
    from gpuhost.settings import Instance, Settings

LOGIN_FORBIDDEN = set(" \t\n:,'\"\\*?[];$")


def disagreements(settings: "Settings") -> Iterator[str]:
    """One line each: `key: what is wrong, what was found, what to write`.

    Of settings that are valid only in part, what compares a missing one is left out.
    """
    complete = settings.model_fields_set >= set(type(settings).model_fields)
    for check in CHECKS:
        try:
            yield from check(settings)
        except AttributeError:
            if complete:
                raise


def _shared(settings: "Settings") -> Iterator[str]:
    instances = list(enumerate(settings.webui_instances))
    for (_, one), (position, other) in combinations(instances, 2):
        where = f"webui_instances[{position}]"
        if one.name == other.name:
            yield f"{where}.name: should be unique, got {other.name!r} twice"
        if one.port == other.port and _same_address(settings, one, other):
            yield (
                f"{where}.port: should differ from instance {one.name!r}, got {other.port} for both"
                f" (for example {other.port + 1})"
            )
        if settings.storage_of(one) == settings.storage_of(other):
            yield (
                f"{where}.storage: should differ from instance {one.name!r},"
                f" got {settings.storage_of(other)!r} for both"
            )
        if overlap := _overlap(one, other):
            yield (
                f"{where}.gpus: should not share a GPU with instance {one.name!r},"
                f" got {overlap} in both (for example [1])"
            )


def _same_address(settings: "Settings", one: "Instance", other: "Instance") -> bool:
    addresses = {settings.address_of(one), settings.address_of(other)}
    return len(addresses) == 1 or bool(addresses & {"0.0.0.0", "::"})  # noqa: S104


def _overlap(one: "Instance", other: "Instance") -> str:
    if one.gpus == "all" or other.gpus == "all":
        return "'all'"
    shared = [gpu for gpu in one.gpus if gpu in other.gpus]
    return repr(shared[0]) if shared else ""


def _exposure(settings: "Settings") -> Iterator[str]:
    for position, instance in enumerate(settings.webui_instances):
        address = settings.address_of(instance)
        key = f"webui_instances[{position}].address" if instance.address else "webui_address"
        if ipaddress.ip_address(address).is_loopback or settings.webui_user:
            continue
        if not settings.webui_insecure:
            yield (
                f"{key}: should be a loopback address unless there is a login, got {address!r}"
                " (set webui_user and a password, or webui_insecure = True)"
            )


def _login(settings: "Settings") -> Iterator[str]:
    if wrong := sorted(LOGIN_FORBIDDEN & set(settings.webui_user)):
        yield f"webui_user: should not hold {''.join(wrong)!r}, got {settings.webui_user!r}"
    if settings.webui_user and not (settings.webui_password_env or settings.webui_password_file):
        yield (
            "webui_user: should come with a password, got none"
            " (set webui_password_env or webui_password_file)"
        )


def _gates(settings: "Settings") -> Iterator[str]:
    asked = [name for name in ("gate_gpu", "gate_picture") if getattr(settings, name)]
    for position, instance in enumerate(settings.webui_instances):
        if asked and "--api" not in instance.flag_list:
            yield (
                f"webui_instances[{position}].flags: should hold '--api' for {' and '.join(asked)},"
                f" got {instance.flags!r} (add --api, or set {' = '.join(asked)} = False)"
            )


def _flags(settings: "Settings") -> Iterator[str]:
    for position, instance in enumerate(settings.webui_instances):
        for flag in ("--api-auth", "--gradio-auth"):
            if any(word.split("=")[0] == flag for word in instance.flag_list):
                yield (
                    f"webui_instances[{position}].flags: should not hold {flag}, it shows in every"
                    " process list (set webui_user and webui_password_env instead)"
                )


def _version(settings: "Settings") -> Iterator[str]:
    if settings.engine_version and settings.engine_source != "docker":
        yield (
            "engine_version: should come with engine_source = 'docker', got engine_source ="
            f" {settings.engine_source!r} (leave it empty, or set engine_source = 'docker')"
        )


def _options(settings: "Settings") -> Iterator[str]:
    taken = {
        "hosts": "it collides with -H in the engine's unit",
        "registry-mirrors": "set engine_registry_mirrors instead",
        "live-restore": "set engine_live_restore instead",
    }
    for key, value in settings.engine_options.items():
        if key in taken:
            yield f"engine_options: should not hold {key!r}, {taken[key]}"
        elif key in ("features", "runtimes") and not isinstance(value, dict):
            yield f"engine_options: {key!r} should be a dictionary, got {value!r}"


def _driver(settings: "Settings") -> Iterator[str]:
    if settings.driver_reboot and not settings.driver_manage:
        yield "driver_reboot: should come with driver_manage = True, got driver_manage = False"


def _registry(settings: "Settings") -> Iterator[str]:
    if settings.image_registry_user and not (
        settings.image_registry_password_env or settings.image_registry_password_file
    ):
        yield (
            "image_registry_user: should come with a password, got none"
            " (set image_registry_password_env or image_registry_password_file)"
        )


CHECKS = (
    _shared,
    _exposure,
    _login,
    _gates,
    _flags,
    _version,
    _options,
    _driver,
    _registry,
    passwords,
)
