"""What lands on hosts, rendered from `templates/`."""

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

FOLDER = Path(__file__).parent.parent / "templates"


def render(template: str, **values: Any) -> str:
    """A template filled in; an undefined name in it is an error."""
    return _environment().get_template(template).render(**values)


def _literal(value: Mapping[str, Any] | list[Any] | str | int) -> str:
    return json.dumps(value, ensure_ascii=False).replace("$", "$$")


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - units and YAML, where values pass through `literal`
    )
    environment.filters["literal"] = _literal
    return environment
