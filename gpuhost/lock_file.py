"""A lock as a file that is reviewed: `inventories/NAME.lock.yaml`."""

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from gpuhost import lock_document
from gpuhost.lock import Lock, LockError

if TYPE_CHECKING:
    from yaml import SafeLoader
else:
    SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

HEADER = "# What tags meant when they were resolved. Deploys converge to this.\n"


def read(path: Path) -> Lock:
    """An empty lock where there is no file.

    :raises LockError: in one line, when the file is not a lock
    """
    try:
        return lock_document.lock(yaml.load(path.read_bytes(), _Loader))  # noqa: S506
    except FileNotFoundError:
        return Lock()
    except OSError as error:
        raise LockError(f"{path}: should be a file to read, got {error.strerror}") from error
    except (yaml.YAMLError, RecursionError) as error:
        wrong = f"should be YAML, got {_first(error)} (restore it, or remove it to resolve anew)"
        raise LockError(f"{path}: {wrong}") from error
    except lock_document.VersionError as error:
        raise LockError(
            f"{path}: {error} (use the gpuhost that wrote it, or restore it)"
        ) from error
    except LockError as error:
        raise LockError(f"{path}: {error} (restore it, or remove it to resolve anew)") from error


def change(path: Path, to: Callable[[Lock], Lock]) -> Lock:
    """Read, change and write the file while no other run of this machine does.

    :raises LockError: when the file is not a lock
    """
    with _alone(path.parent):
        old = read(path)
        new = to(old)
        if new != old:
            write(path, new)
    return new


def write(path: Path, lock: Lock) -> None:
    """Replace the file atomically; it is readable by all and holds no secrets.

    :raises LockError: when it could not be read back; the file stays as it is
    """
    document = lock_document.document(lock)
    try:
        lock_document.lock(document)
    except LockError as error:
        raise LockError(f"{path}: stays as it is, {error}") from error
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(HEADER)
            yaml.dump(document, file, _Dumper, sort_keys=False, allow_unicode=True, width=10**6)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder itself, so that nothing is left in it; a network disk may not have it."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        # Closing may come later than this: gevent, below pyinfra, closes in its event loop.
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)


class _Loader(SafeLoader):
    """Takes no key twice: YAML would keep the last one, as after a careless merge."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for name, _ in node.value:
            if name.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"{name.value!r} twice", problem_mark=name.start_mark
                )
            seen.add(str(name.value))
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _on_one_line(dumper: yaml.SafeDumper, data: lock_document.Line) -> yaml.SequenceNode:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=True)


def _escaped(dumper: yaml.SafeDumper, data: str) -> yaml.ScalarNode:
    """Texts as they are, but with line breaks and the like as escapes: YAML would fold some."""
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", data, style=None if data.isprintable() else '"'
    )


_Dumper.add_representer(lock_document.Line, _on_one_line)
_Dumper.add_representer(str, _escaped)


def _first(error: Exception) -> str:
    """What is wrong and where, in one line."""
    problem, mark = getattr(error, "problem", None), getattr(error, "problem_mark", None)
    text = " ".join((problem or str(error) or type(error).__name__).split())
    return f"{text} in line {mark.line + 1}" if mark else text
