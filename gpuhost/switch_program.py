"""The host-side program as one file: the same sources, the same bytes."""

import functools
import io
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
MAIN = "import sys\n\nfrom gpuhost.hostside.__main__ import main\n\nsys.exit(main(sys.argv[1:]))\n"


@functools.cache
def archive() -> bytes:
    """A zip that Python runs: `hostside`, and the gates that it feeds to containers."""
    sources = [HERE / "__init__.py", HERE / "inside" / "gates.py"]
    sources += sorted((HERE / "hostside").glob("*.py"))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        _add(target, "__main__.py", MAIN.encode())
        for path in sources:
            _add(target, f"gpuhost/{path.relative_to(HERE)}", path.read_bytes())
    return buffer.getvalue()


def _add(target: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Stored, with a fixed time: zlib's versions differ in how they compress."""
    target.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)
