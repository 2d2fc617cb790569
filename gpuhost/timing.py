"""What systemd takes for a time: calendar expressions and spans. Text in, the same text out."""

import re
import shutil
import subprocess
from functools import cache

CHARACTERS = re.compile(r"[A-Za-z0-9*:,./~_+ -]+")
SHORTHAND = r"minutely|hourly|daily|monthly|weekly|yearly|annually|quarterly|semiannually"
DAY = r"(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*"
DAYS = rf"{DAY}(?:(?:\.\.|-|,){DAY})*,?"
NUMBERS = r"(?:\*|\d+(?:\.\.\d+)?)(?:/\d+)?(?:,\d+(?:\.\.\d+)?(?:/\d+)?)*"
DATE = rf"(?:{NUMBERS}-)?{NUMBERS}[-~]{NUMBERS}"
TIME = rf"{NUMBERS}:{NUMBERS}(?::{NUMBERS}(?:\.\d+)?)?"
ZONE = r"UTC|[A-Z][A-Za-z_]+(?:/[A-Za-z0-9_+-]+)+"
CALENDAR = re.compile(
    rf"(?:{SHORTHAND}|(?=\S)(?:{DAYS}(?:\s+|$))?(?:{DATE}(?:\s+|$))?(?:{TIME})?)(?:\s+(?:{ZONE}))?",
    re.IGNORECASE,
)
UNIT = r"us|ms|seconds?|sec|s|minutes?|min|m|hours?|hr|h|days?|d|weeks?|w"
SPAN = re.compile(rf"\d+(?:\.\d+)?\s*(?:{UNIT})?(?:\s*\d+(?:\.\d+)?\s*(?:{UNIT}))*")


def calendar(text: str) -> str:
    """A systemd calendar expression, or nothing.

    :raises ValueError: when systemd here, or without it a pattern, does not take it
    """
    if text and not (CHARACTERS.fullmatch(text) and text.strip() == text and _known(text)):
        raise ValueError(
            f"should be a systemd calendar expression, got {text!r}"
            " (for example '*-*-* 04:00' or 'Mon 03:30')"
        )
    return text


def span(text: str) -> str:
    """A systemd time span, or nothing.

    :raises ValueError: for anything else
    """
    if text and not SPAN.fullmatch(text):
        raise ValueError(f"should be a time span, got {text!r} (for example '30min' or '1h 30min')")
    return text


@cache
def _known(text: str) -> bool:
    program = shutil.which("systemd-analyze")
    if program is None:
        return matches(text)
    try:
        done = subprocess.run(
            [program, "calendar", "--", text], capture_output=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return matches(text)
    return done.returncode == 0


def matches(text: str) -> bool:
    """Whether it looks like a calendar expression, where no systemd can be asked."""
    return bool(CALENDAR.fullmatch(text))
