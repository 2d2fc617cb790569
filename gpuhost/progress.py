"""What a person sees of long work: a live row per host on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

NOTHING = 500_000
"""Bytes (or bytes per second) not worth a word."""


def size(count: float) -> str:
    """Bytes for people."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


class Row:
    """The progress of one job on one host."""

    def __init__(self, board: "Board", host: str, label: str, expected: int) -> None:
        self.board, self.host, self.label, self.expected = board, host, label, expected
        self.began = time.monotonic()
        self.received = 0
        self.rate = 0.0
        self.line = ""
        self._looked = self.began

    def show(self, received: int, line: str) -> None:
        """Take over what the last look saw."""
        now = time.monotonic()
        self.rate = (received - self.received) / max(now - self._looked, 0.1)
        self.received, self.line, self._looked = max(received, 0), line, now
        self.board.redraw()

    def note(self, text: str) -> None:
        """A phase that begins: a line of its own where no row is drawn."""
        if not self.board.drawing:
            self.say(text)

    def say(self, text: str) -> None:
        """A remark that stays."""
        click.echo(f"    [{self.host}] {self.label}: {text}", err=True)

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self.began

    def amount(self, rate: float) -> str:
        """Bytes, and bytes per second; nothing while there is next to nothing."""
        if self.received < NOTHING:
            return ""
        speed = f", {size(rate)}/s" if rate > NOTHING else ""
        if self.expected:
            return f"{size(min(self.received, self.expected))} of {size(self.expected)}{speed}"
        return f"{size(self.received)}{speed}"

    def text(self) -> str:
        """One line for a terminal."""
        amount = self.amount(self.rate)
        parts = [f"[{self.host}]", self.label, f"{self.seconds:.0f} s", amount, self.line]
        return "    " + "  ".join(part for part in parts if part)


class Board:
    """All running jobs."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._live: Any = None
        self._echo = click.echo

    @property
    def drawing(self) -> bool:
        """Whether rows are drawn on a terminal."""
        return self._live is not None

    @contextmanager
    def job(self, host: str, label: str, expected: int = 0) -> Iterator[Row]:
        """Show one job while it runs, and leave one line when it ended well."""
        row = Row(self, host, label, expected)
        self.rows.append(row)
        self._open()
        if not self._live:
            row.say("started")
        try:
            yield row
            self._leave(row)
            amount = row.amount(row.received / max(row.seconds, 0.1))
            row.say(f"done in {row.seconds:.0f} s" + (f", {amount}" if amount else ""))
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
            click.echo = self._echo

    def _open(self) -> None:
        if self._live or not sys.stderr.isatty():
            return
        from rich.console import Console
        from rich.live import Live

        console = Console(file=sys.stderr)
        self._live = Live(self._table(), console=console, auto_refresh=False, transient=True)
        self._live.start()
        self._echo, click.echo = click.echo, self._above

    def _above(self, message: Any = "", *_: Any, **__: Any) -> None:
        """Stand in for `click.echo` while rows are drawn: what others say goes above them."""
        from rich.text import Text

        self._live.console.print(Text.from_ansi(str(message)), soft_wrap=True)

    def _table(self) -> Any:
        from rich.text import Text

        text = "\n".join(row.text() for row in self.rows)
        return Text(text, no_wrap=True, overflow="ellipsis")


BOARD = Board()
"""The one board of this run."""
