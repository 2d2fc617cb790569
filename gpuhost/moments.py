"""Times in records, and how long ago they are."""

from calendar import timegm
from time import strptime

DAY = 86_400
UNITS = ((DAY, "d"), (3600, "h"), (60, "min"))


def moment(text: str) -> float | None:
    """Seconds since the epoch of a time in a record; None where it says none."""
    try:
        return timegm(strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return None


def young(times: list[float | None], now: float, days: int) -> bool:
    """Whether the last of these moments is less than some days ago, or still to come."""
    known = [one for one in times if one is not None]
    return bool(known) and now - max(known) < days * DAY


def span(seconds: float) -> str:
    """A length of time for people: 40 s, 12 min, 5 h, 3 d."""
    for size, unit in UNITS:
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def ago(text: str, now: float) -> str:
    """How long ago a time in a record is, for people; "" where it says none."""
    at = moment(text)
    return "" if at is None else f"{span(now - at)} ago"
