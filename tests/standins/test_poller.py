"""The poller: what counts as an answer, as a gap, and as the poller's own pause."""

from __future__ import annotations

import socket
import time

from tests.lab.poller import Gap, Poller, Probe, gaps


def asked(at: float, status: int = 200, took: float = 0.01) -> Probe:
    return Probe(at, at + took, status)


def test_no_gap_while_every_probe_is_answered():
    assert gaps([asked(t) for t in (1, 2, 3)], 1, 3.5) == []


def test_a_gap_lasts_from_the_last_answer_to_the_next():
    probes = [asked(1), asked(2, 0, 1), asked(3, 503), asked(4, took=0.5), asked(5)]
    assert gaps(probes, 1, 5.1) == [Gap(1.01, 4.5)]


def test_a_late_answer_ends_the_gap_in_which_others_failed():
    assert gaps([asked(1), asked(2, took=0.9), asked(2.1, 0, 0.1), asked(3)], 1, 3.1) == [
        Gap(1.01, 2.9)
    ]


def test_what_never_answers_again_is_a_gap_up_to_the_end():
    assert gaps([asked(1), asked(2, 0), asked(3, 0)], 1, 4) == [Gap(1.01, 4)]


def test_polls_a_webui_that_goes(plain):
    with Poller(plain.url) as poller:
        time.sleep(0.55)
    assert 4 <= len(poller.probes) <= 7
    assert poller.longest_gap() == 0.0
    assert 0.05 < poller.longest_pause() < 0.5


def test_a_login_is_sent(locked):
    with Poller(locked.url, "alice:secret", "/sdapi/v1/options") as poller:
        time.sleep(0.25)
    assert {probe.status for probe in poller.probes} == {200}


def test_refused_and_silent_ports_are_errors():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Poller(url) as refused:
            time.sleep(0.15)
        silent.listen()
        begun = time.monotonic()
        with Poller(url) as ignored:
            time.sleep(0.35)
        assert time.monotonic() - begun < 2
    assert {probe.error for probe in refused.probes} == {"ConnectionRefusedError"}
    assert {probe.error for probe in ignored.probes} == {"TimeoutError"}
    assert len(ignored.probes) >= 3
    assert ignored.longest_gap() > 0.3
