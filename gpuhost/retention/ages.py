"""How old things are that failed."""

from calendar import timegm
from time import strptime

DAY = 86_400


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
