"""What stays and what goes: single cases, and any sequence of what may happen to a host."""

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gpuhost.host_records import HostRecords, Image, Network
from gpuhost.hostside import journal
from gpuhost.hostside.records import Proven
from gpuhost.retention import Rules, decide
from gpuhost.retention.releases import can_be_had
from tests.retained import DAY, FOREIGN, REPOSITORY, Host, digest, image, reference

RULES = Rules(frozenset({REPOSITORY}), frozenset({"webui"}))


@pytest.fixture
def host():
    return Host()


def removed(host, rules=RULES):
    """What goes, by kind and name."""
    return {(one.kind, one.name) for one in decide(host.records, rules).removed}


def image_line(number):
    return ("image", reference(number))


def test_of_many_updates_the_running_one_and_the_way_back_stay(host):
    releases = [host.update("webui", number) for number in range(1, 5)]
    assert removed(host) == {
        image_line(1), image_line(2),
        *(("release", f"webui {one}") for one in releases[:2]),
        *(("network", f"gpuhost-webui-{one}_default") for one in releases[:3]),
    }  # fmt: skip


def test_a_way_back_stays_even_where_only_one_is_to_be_kept(host):
    for number in range(1, 5):
        host.update("webui", number)
    found = removed(host, replace(RULES, keep=1))
    assert image_line(3) not in found
    assert image_line(2) in found


def test_the_way_back_is_one_that_can_be_had(host):
    for number in range(1, 4):
        host.update("webui", number)
    del host.images["id-2"]
    assert image_line(1) not in removed(host, replace(RULES, keep=1))


def test_after_a_rollback_the_release_that_was_left_is_the_way_back(host):
    first, _, third = (host.update("webui", number) for number in (1, 2, 3))
    host.rollback("webui", first)
    assert ("release", f"webui {third}") not in removed(host)
    assert image_line(2) in removed(host)


def test_a_running_release_that_was_proven_long_ago_counts_among_those_kept(host):
    first, *_ = (host.update("webui", number) for number in (1, 2, 3))
    live = host.containers["gpuhost-webui"]
    host.containers["gpuhost-webui"] = replace(live, release=first, image="id-1")
    found = removed(host)
    assert image_line(2) in found
    assert not {image_line(1), image_line(3)} & found


def test_why_everything_stays_or_goes_stands_there(host):
    host.update("webui", 1)
    host.update("webui", 2, journal.ROLLED_BACK)
    found = decide(host.records, RULES)
    assert [(one.name, one.why) for one in found.kept] == [
        ("gpuhost-webui", "it serves"),
        ("gpuhost-webui-failed", "release 000000000002 failed gate picture less than 7 days ago"),
        (reference(1), "container gpuhost-webui uses it"),
        (reference(2), "container gpuhost-webui-failed uses it"),
        ("webui 000000000001", "it runs"),
        ("webui 000000000002", "it failed gate picture less than 7 days ago"),
    ]
    host.now += 8 * DAY
    assert [(one.name, one.why) for one in decide(host.records, RULES).removed] == [
        ("gpuhost-webui-failed", "release 000000000002 failed gate picture 7 days ago or more"),
        (reference(2), "instance webui: failed gate picture on 2027-01-15"),
        ("gpuhost-webui-000000000002_default", "no container of its release is left"),
        ("webui 000000000002", "its image goes"),
    ]


def test_a_clock_that_jumped_back_makes_nothing_old(host):
    host.update("webui", 1)
    host.update("webui", 2, journal.ROLLED_BACK)
    host.now -= 4000 * DAY
    assert removed(host) == set()


@pytest.mark.parametrize("state", [*journal.WORKING, journal.STRANDED])
def test_what_an_open_switch_names_stays(state, host):
    first = host.update("webui", 1)
    host.update("webui", 2)
    last = host.update("webui", 3, state)
    entry = host.of("webui")
    assert entry.journal
    host.instances["webui"] = replace(entry, journal=replace(entry.journal, back=first))
    host.now += 100 * DAY
    assert not removed(host, replace(RULES, keep=1)) & {
        image_line(1), image_line(3), ("release", f"webui {first}"), ("release", f"webui {last}"),
        ("container", "gpuhost-webui-previous"),
    }  # fmt: skip


def test_what_a_skipped_switch_pulled_stays_for_the_next(host):
    host.update("webui", 1)
    host.update("webui", 2, journal.SKIPPED)
    assert removed(host) == set()
    host.update("webui", 3)
    assert image_line(2) in removed(host)


def test_a_previous_container_goes_when_its_switch_is_over_and_something_serves(host):
    host.update("webui", 1)
    live = host.containers["gpuhost-webui"]
    aside = replace(live, name="gpuhost-webui-previous", id="aside", status="exited", ended=1)
    host.containers["aside"] = aside
    assert ("container", "gpuhost-webui-previous") in removed(host)
    del host.containers["gpuhost-webui"]
    assert ("container", "gpuhost-webui-previous") not in removed(host)


def test_pinned_and_locked_images_stay_with_a_release(host):
    first, second, *_ = (host.update("webui", number) for number in range(1, 6))
    rules = replace(RULES, pinned=frozenset({digest(1)}), locked=frozenset({digest(2)}))
    found = removed(host, rules)
    assert image_line(3) in found
    assert not found & {image_line(1), ("release", f"webui {first}")}
    assert not found & {image_line(2), ("release", f"webui {second}")}


def test_a_locked_image_that_nothing_ran_stays(host):
    host.update("webui", 1)
    host.pull(9)
    assert image_line(9) in removed(host)
    assert removed(host, replace(RULES, locked=frozenset({digest(9)}))) == set()


def test_images_that_others_use_or_named_stay(host):
    for number in range(1, 6):
        host.update("webui", number)
    host.foreign_container(1, "exited")
    host.images["id-2"] = image(2, REPOSITORY, "backup:mine")
    found = removed(host)
    assert {image_line(1), image_line(2)} & found == set()
    assert image_line(3) in found


def test_images_of_others_are_not_even_listed(host):
    host.update("webui", 1)
    host.images["id-7"] = image(7, FOREIGN)
    labels = {"org.gpuhost.instance": "webui", "org.gpuhost.cuda": "12.1"}
    host.images["committed"] = Image("committed", (), (), labels, 1, "")
    found = decide(host.records, RULES)
    named = {one.id for one in (*found.kept, *found.removed)}
    assert not named & {"id-7", "committed"}


def test_an_image_of_ours_that_lost_its_name_goes(host):
    host.update("webui", 1)
    host.images["lost"] = Image("lost", (), (), {"org.gpuhost.cuda": "12.1"}, 1, "")
    assert removed(host) == {("image", "lost")}


def test_a_repository_that_the_settings_no_longer_name_is_still_ours(host):
    host.update("webui", 1)
    host.update("webui", 2)
    host.update("webui", 3)
    assert image_line(1) in removed(host, replace(RULES, repositories=frozenset({"x/y"})))


def test_of_an_instance_that_is_gone_nothing_stays(host):
    host.update("webui", 1)
    host.update("other", 2)
    assert image_line(2) not in removed(host)
    del host.containers["gpuhost-other"]
    assert {image_line(2), ("release", "other 000000000002")} <= removed(host)
    assert image_line(2) not in removed(host, replace(RULES, instances=frozenset({"other"})))


def test_networks_of_others_stay(host):
    host.update("webui", 1)
    host.networks["a"] = Network(
        "a", "gpuhost-webui-mine_default", "gpuhost-webui-mine", frozenset()
    )
    theirs = host.containers["theirs"] = replace(host.containers["gpuhost-webui"], id="t", name="t")
    host.networks["b"] = Network("b", "b", "gpuhost-webui-0123456789ab", frozenset({theirs.id}))
    host.networks["c"] = Network("c", "c", "gpuhost-webui-0123456789ac", frozenset())
    assert removed(host) == {("network", "c")}


def test_the_build_cache_is_cut_only_when_a_limit_is_set(host):
    records = replace(host.records, build_cache=5_000_000_000)
    assert decide(records, RULES).build_cache is None
    assert decide(records, replace(RULES, build_cache_gb=5)).build_cache is None
    found = decide(records, replace(RULES, build_cache_gb=3))
    assert (found.build_cache, found.size) == (3_000_000_000, 2_000_000_000)


def test_of_a_host_whose_engine_is_down_nothing_is_decided(host):
    host.update("webui", 1)
    records = replace(host.records, problem="down: nothing answers", images=())
    assert decide(records, RULES) == decide(HostRecords(problem="x"), RULES)


NAMES = st.sampled_from(["webui", "second"])
NUMBERS = st.integers(1, 8)
ENDS = st.sampled_from([journal.ROLLED_BACK, journal.SKIPPED, journal.ABANDONED])


class Life(RuleBasedStateMachine):
    """Anything may happen to a host, in any order; prune must keep its promises."""

    @initialize(keep=st.integers(1, 4), days=st.integers(0, 10))
    def begin(self, keep, days):
        self.host = Host()
        self.wanted = replace(
            RULES, keep=keep, keep_failed_days=days, instances=frozenset({"webui", "second"})
        )
        self.foreign: dict[str, Image] = {}

    @rule(name=NAMES, number=NUMBERS)
    def update_to_a_good_release(self, name, number):
        self.host.update(name, number)
        self.wanted = replace(self.wanted, locked=frozenset({digest(number)}))

    @rule(name=NAMES, number=NUMBERS, end=ENDS)
    def update_to_another(self, name, number, end):
        if not self.host.running(name) and end == journal.ROLLED_BACK:
            end = journal.FAILED
        self.host.update(name, number, end)

    @rule(name=NAMES, number=NUMBERS, state=st.sampled_from([*journal.WORKING, journal.STRANDED]))
    def leave_a_switch_open(self, name, number, state):
        self.host.update(name, number, state)

    @rule(name=NAMES, choice=st.randoms())
    def roll_back(self, name, choice):
        entry = self.host.of(name)
        found = [one for one in entry.proven if can_be_had(one, entry, self.host.records)]
        if found:
            self.host.rollback(name, choice.choice(found).release)

    @rule(number=NUMBERS)
    def pin(self, number):
        self.wanted = replace(self.wanted, pinned=frozenset({digest(number)}))

    @rule(number=NUMBERS)
    def move_the_lock(self, number):
        self.wanted = replace(self.wanted, locked=frozenset({digest(number)}))

    @rule(number=st.integers(20, 25))
    def pull_something_foreign(self, number):
        found = image(number, FOREIGN)
        self.host.images[found.id] = self.foreign[found.id] = found

    @rule(number=NUMBERS, status=st.sampled_from(["running", "exited"]))
    def use_an_image_of_ours(self, number, status):
        if f"id-{number}" in self.host.images:
            self.host.foreign_container(number, status)

    @rule(days=st.integers(-30, 30))
    def let_the_clock_jump(self, days):
        self.host.now += days * DAY

    @precondition(lambda self: self.host.instances)
    @rule()
    def prune(self):
        before, records = self._ways_back(), self.host.records
        found = decide(records, self.wanted)
        assert not {one.id for one in found.removed} & set(self.foreign)
        self.host.carry_out(found)
        assert decide(self.host.records, self.wanted).removed == ()
        assert self._ways_back() == before
        theirs = {one.id for one in records.containers if not one.role}
        assert theirs <= {one.id for one in self.host.containers.values()}
        assert len(self._ours()) <= self._most(), sorted(self._ours())

    @invariant()
    def what_runs_has_its_image(self):
        for one in self.host.containers.values():
            assert one.image in self.host.images
        for name in self.host.instances:
            release = self.host.running(name)
            assert not release or release in {one.id for one in self.host.of(name).stored}

    def _ways_back(self) -> dict[str, Proven | None]:
        """By instance, the last proven release that can be had and does not run."""
        return {
            name: next(
                (
                    one
                    for one in entry.proven
                    if one.release != self.host.running(name)
                    and can_be_had(one, entry, self.host.records)
                ),
                None,
            )
            for name, entry in self.host.instances.items()
        }

    def _ours(self):
        return set(self.host.images) - set(self.foreign)

    def _most(self) -> int:
        """How many images of ours may be left, by the rules as a reader understands them."""
        extra = {one.image for one in self.host.containers.values() if one.role != "live"}
        extra |= {f"id-{int(one[7:19], 16)}" for one in self.wanted.pinned | self.wanted.locked}
        most = 0
        for entry in self.host.instances.values():
            most += max(self.wanted.keep, 2)
            most += 1 if self.host.running(entry.name) not in _proven(entry) else 0
            most += 2 if entry.open or _skipped(entry) else 0
            extra |= {
                f"id-{int(one.digest[7:19], 16)}"
                for one in entry.quarantine
                if self.host.now - _moment(one.at) < self.wanted.keep_failed_days * DAY
            }
        return most + len(extra)


def _proven(entry):
    return {one.release for one in entry.proven}


def _skipped(entry):
    return entry.journal and entry.journal.state == journal.SKIPPED


def _moment(text):
    from gpuhost.moments import moment

    return moment(text)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
