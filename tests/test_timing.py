"""Which times are systemd's: asked of systemd where it is, by a pattern elsewhere."""

import pytest

from gpuhost import timing

TIMES = ["daily", "*-*-* 04:00", "Mon 03:30", "Mon..Fri 04:00:00", "Sat,Sun *-*-* 2:15", "04:00",
         "*-*~01 05:00", "2026-01-01", "*-*-01/7 03:00 Europe/Berlin", "hourly UTC",
         "*:0/15"]  # fmt: skip
NO_TIMES = ["4 o'clock", "nightly", "at 04:00", "*-*-* 04:00\nExec=x", " daily", "%h", "25h"]
SPANS = ["", "30min", "1h 30min", "45", "2 hours", "1.5h"]
NO_SPANS = ["half an hour", "30min\nX=1", "-5min", "1x", "h"]


@pytest.mark.parametrize("known", [timing.matches, timing._known])
@pytest.mark.parametrize("text", TIMES)
def test_calendar_expressions_are_taken(text, known, monkeypatch):
    monkeypatch.setattr(timing, "_known", known)
    assert timing.calendar(text) == text


@pytest.mark.parametrize("known", [timing.matches, timing._known])
@pytest.mark.parametrize("text", NO_TIMES)
def test_what_is_no_calendar_expression_is_refused(text, known, monkeypatch):
    monkeypatch.setattr(timing, "_known", known)
    with pytest.raises(ValueError, match="should be a systemd calendar expression, got"):
        timing.calendar(text)


def test_no_schedule_is_fine():
    assert timing.calendar("") == ""


@pytest.mark.parametrize("text", SPANS)
def test_spans_are_taken(text):
    assert timing.span(text) == text


@pytest.mark.parametrize("text", NO_SPANS)
def test_what_is_no_span_is_refused(text):
    with pytest.raises(ValueError, match="should be a time span, got"):
        timing.span(text)
