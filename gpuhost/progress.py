"""What a person sees of long work: a live row per host on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click


def size(count: float) -> str:
    """Bytes for people."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


class Row:
    """The progress of one job on one host."""

    def __init__(self, board: "Board", host: str, label: str, expected: int) -> None:
        self.board, self.host, self.label, self.expected = board, host, label, expected
        self.began = time.monotonic()
        self.received = 0
        self.line = ""

    def show(self, received: int, line: str) -> None:
        """Take over what the last look saw."""
        self.received, self.line = max(received, 0), line
        self.board.redraw()

    def say(self, text: str) -> None:
        """A remark that stays."""
        click.echo(f"    [{self.host}] {self.label}: {text}", err=True)

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self.began

    @property
    def amount(self) -> str:
        """Bytes and rate, as far as known."""
        if self.received < 500_000:
            return ""
        rate = f", {size(self.received / max(self.seconds, 0.1))}/s"
        if self.expected:
            return f"{size(min(self.received, self.expected))} of {size(self.expected)}{rate}"
        return f"{size(self.received)}{rate}"

    def text(self) -> str:
        """One line for a terminal."""
        parts = [f"[{self.host}]", self.label, f"{self.seconds:.0f} s", self.amount, self.line]
        return "    " + "  ".join(part for part in parts if part)


class Board:
    """All running jobs."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._live: Any = None

    @contextmanager
    def job(self, host: str, label: str, expected: int = 0) -> Iterator[Row]:
        """Show one job while it runs, and leave one line when it ended well."""
        row = Row(self, host, label, expected)
        row.say("started")
        self.rows.append(row)
        self._open()
        try:
            yield row
            amount = f", {row.amount}" if row.amount else ""
            self._leave(row)
            row.say(f"done in {row.seconds:.0f} s{amount}")
        except BaseException:
            self._leave(row)
            raise

    def redraw(self) -> None:
        """Show the rows as they are now."""
        if self._live:
            self._live.update(self._table(), refresh=True)

    def _leave(self, row: Row) -> None:
        if row in self.rows:
            self.rows.remove(row)
        self.redraw()
        if not self.rows and self._live:
            self._live.stop()
            self._live = None

    def _open(self) -> None:
        if self._live or not sys.stderr.isatty():
            return
        from rich.console import Console
        from rich.live import Live

        console = Console(file=sys.stderr)
        self._live = Live(self._table(), console=console, auto_refresh=False, transient=True)
        self._live.start()

    def _table(self) -> Any:
        from rich.text import Text

        text = "\n".join(row.text() for row in self.rows)
        return Text(text, no_wrap=True, overflow="ellipsis")


BOARD = Board()
"""The one board of this run."""
