"""From tags to digests: what converges, what is refreshed, and what is written when."""

import threading
from dataclasses import replace

import pytest

from gpuhost import lock as locks
from gpuhost import lock_file, resolving
from gpuhost.lock import Lock, LockError, Quarantined
from gpuhost.planning.image import short
from gpuhost.resolving import Resolver
from gpuhost.secrets import Secrets
from tests import registry_server
from tests.defaults import checked
from tests.registry_server import Fault
from tests.test_registry import CONFIG, no_proxies

__all__ = ["no_proxies"]
PLATFORM = "linux/amd64"
NOBODY = Secrets("", "", b"")


class Site:
    """A registry, settings that name it, and an inventory's lock."""

    def __init__(self, folder):
        self.registry = registry_server.Registry()
        self.path = folder / "home.lock.yaml"
        self.base = self.registry.url.removeprefix("http://")
        self.settings = checked(
            image_reference=f"{self.base}/app:nightly", toolkit_probe_image=f"{self.base}/probe:1"
        )
        self.key = locks.key(self.settings.image_reference, PLATFORM)
        self.put("probe", "1", 1)
        self.first = self.put("app", "nightly", 1)

    def put(self, name, tag, number):
        """The digest of another build behind a tag."""
        config = {**CONFIG, "created": f"2026-11-{number:02}T00:00:00Z"}
        return self.registry.image(name, tag, config, (number, 10 * number)).digest

    def run(self):
        """A new run."""
        return Resolver(self.path)

    def began(self):
        """A run after the first deploy."""
        resolver = self.run()
        resolver.resolve(self.settings, NOBODY, PLATFORM)
        resolver.keep(self.settings, PLATFORM)
        return self.run()

    def refresh(self, resolver, to="", settings=None):
        return resolver.refresh(settings or self.settings, NOBODY, PLATFORM, to)

    def failed(self, digest, host="gpu-2"):
        reference = self.settings.image_reference
        at = "2026-11-27T10:00:00+00:00"
        return Quarantined(digest, reference, "picture", "black", host, at)

    @property
    def file(self):
        return lock_file.read(self.path)

    @property
    def asked(self):
        return [path for _, path, _ in self.registry.seen if "/app/" in path]


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    yield made
    made.registry.close()


def test_a_first_deploy_creates_the_lock_when_a_host_has_proven_it(site):
    resolver = site.run()
    lock = resolver.resolve(site.settings, NOBODY, PLATFORM)
    assert lock.images[site.key].digest == site.first
    assert lock.images[site.key].layers[1] == (
        registry_server.diff_ids((10,))[0].removeprefix("sha256:")[:12],
        10,
    )
    assert site.file == Lock()
    resolver.keep(site.settings, PLATFORM)
    assert site.file.images == lock.images
    assert len(site.file.images) == 2


def test_a_deploy_never_moves_the_lock_and_asks_nobody(site):
    resolver = site.began()
    site.put("app", "nightly", 2)
    site.registry.seen.clear()
    lock = resolver.resolve(site.settings, NOBODY, PLATFORM)
    resolver.keep(site.settings, PLATFORM)
    assert lock.images[site.key].digest == site.first == site.file.images[site.key].digest
    assert site.registry.seen == []


def test_what_was_not_resolved_is_not_kept(site):
    site.registry.faults = [Fault("/app/", 404, times=9)]
    resolver = site.run()
    lock = resolver.resolve(site.settings, NOBODY, PLATFORM)
    assert "404" in lock.problems[site.key]
    resolver.keep(site.settings, PLATFORM)
    assert set(site.file.images) == {f"{site.base}/probe:1"}


def test_two_first_deploys_keep_what_the_first_has_proven(site):
    one, other = site.run(), site.run()
    one.resolve(site.settings, NOBODY, PLATFORM)
    site.put("app", "nightly", 2)
    other.resolve(site.settings, NOBODY, PLATFORM)
    one.keep(site.settings, PLATFORM)
    other.keep(site.settings, PLATFORM)
    assert site.file.images[site.key].digest == site.first


def test_a_refresh_takes_the_new_image_and_writes_nothing(site):
    resolver = site.began()
    second = site.put("app", "nightly", 2)
    before = site.path.read_text()
    lock = site.refresh(resolver)
    assert lock.images[site.key].digest == second
    assert [old.image.digest for old in lock.history[site.key]] == [site.first]
    assert resolver.written.images[site.key].digest == site.first
    assert site.path.read_text() == before


def test_a_refresh_leaves_the_probe_image(site):
    resolver = site.began()
    old = site.file.images[f"{site.base}/probe:1"]
    site.put("probe", "1", 2)
    assert site.refresh(resolver).images[old.key] == old


def test_a_refresh_that_finds_the_same_costs_one_question(site):
    resolver = site.began()
    site.registry.seen.clear()
    assert site.refresh(resolver).images == site.file.images
    assert [method for method, _, _ in site.registry.seen] == ["HEAD"]
    assert resolver.commit([site.key]) == ()


def test_hosts_share_one_refresh(site):
    resolver = site.began()
    site.put("app", "nightly", 2)
    site.registry.seen.clear()
    locks_ = []
    hosts = [threading.Thread(target=lambda: locks_.append(site.refresh(resolver)))
             for _ in range(8)]  # fmt: skip
    for host in hosts:
        host.start()
    for host in hosts:
        host.join()
    assert len({lock.images[site.key].digest for lock in locks_}) == 1
    assert len(site.asked) == 4


def test_a_rollout_that_passed_is_committed_with_history(site):
    resolver = site.began()
    old = site.file.images[site.key]
    second = site.put("app", "nightly", 2)
    site.refresh(resolver)
    assert resolver.commit([site.key, site.key, "unknown:1"], by="me@home") == (site.key,)
    assert site.file.images[site.key].digest == second
    assert [(one.image, one.replaced_by) for one in site.file.history[site.key]] == [
        (old, "me@home")
    ]
    assert resolver.commit([site.key]) == ()


def test_a_run_without_an_inventory_has_its_lock_in_memory(site):
    resolver = Resolver(None)
    resolver.resolve(site.settings, NOBODY, PLATFORM)
    resolver.keep(site.settings, PLATFORM)
    second = site.put("app", "nightly", 2)
    site.refresh(resolver)
    assert resolver.commit([site.key]) == (site.key,)
    assert resolver.written.images[site.key].digest == second
    assert not site.path.exists()


@pytest.mark.parametrize("whole", [True, False])
def test_a_refresh_to_a_tag_keeps_the_key(site, whole):
    resolver = site.began()
    other = site.put("app", "v1.10" if whole else "20230301", 3)
    lock = site.refresh(resolver, "v1.10" if whole else "20230301")
    found = lock.images[site.key]
    assert (found.digest, found.reference) == (other, site.settings.image_reference)
    assert found.resolved_from == ("v1.10" if whole else "20230301")
    resolver.commit([site.key])
    assert site.file.images[site.key] == found


def test_a_refresh_to_a_digest_asks_the_registry(site):
    resolver = site.began()
    other = site.put("app", None, 3)
    assert site.refresh(resolver, other).images[site.key].digest == other


@pytest.mark.parametrize("digits", [71, 19, 13])
@pytest.mark.parametrize("named", [True, False])
def test_a_refresh_to_a_digest_of_the_past_needs_no_registry(site, digits, named):
    resolver = site.began()
    old = site.file.images[site.key]
    site.put("app", "nightly", 2)
    site.refresh(resolver)
    resolver.commit([site.key])
    site.registry.faults = [Fault("/", 503, times=99)]
    site.registry.seen.clear()
    to = site.first[:digits] if named else site.first[7:digits]
    after = site.run()
    assert site.refresh(after, to).images[site.key] == old
    assert site.registry.seen == []
    assert after.commit([site.key]) == (site.key,)
    assert site.file.images[site.key] == old


@pytest.mark.parametrize(
    ("to", "says"),
    [
        ("sha256:abcdef", "the lock has no such image, newest first it has "),
        ("sha256:12", "should be 'sha256:' and 64 hex digits, or 6 or more of the first"),
        ("abcdef", "404; there is no such image, check registry, repository and tag"),
        ("v9", "404; there is no such image, check registry, repository and tag"),
        ("a b", "tag should be letters, digits and _ . -, up to 128, got 'a b'"),
        (f"sha256:{'a' * 64}", "404 MANIFEST_UNKNOWN manifest unknown; there is no such"),
    ],
)
def test_a_refresh_to_what_there_is_not_is_a_problem(site, to, says):
    lock = site.refresh(site.began(), to)
    assert says in lock.problems[site.key]
    assert "\n" not in lock.problems[site.key]
    assert site.key not in lock.images


def test_a_refresh_of_a_digest_to_something_else_is_a_problem(site):
    pinned = f"{site.base}/app@{site.first}"
    chosen = site.settings.model_copy(update={"image_reference": pinned})
    site.put("app", "v2", 2)
    assert site.refresh(site.run(), "", chosen).images[pinned].digest == site.first
    assert site.refresh(site.run(), "v2", chosen).problems[pinned] == (
        f"{pinned}: names a digest itself, write v2 into image_reference"
    )


def test_two_hosts_that_want_different_images_of_one_key_are_refused(site):
    resolver = site.began()
    site.refresh(resolver)
    assert site.refresh(resolver, "v2").problems == {
        site.key: f"{site.key}: should go to one image, got '' and 'v2'"
    }


def test_a_registry_that_fails_stops_hosts_and_leaves_the_file(site, monkeypatch):
    monkeypatch.setattr("gpuhost.registry.time.sleep", lambda _: None)
    resolver = site.began()
    before = site.path.read_text()
    site.registry.faults = [Fault("/app/", 403, times=99)]
    lock = site.refresh(resolver)
    assert lock.problems[site.key].startswith(f"{site.settings.image_reference}: HEAD ")
    assert site.key not in lock.images
    resolver.keep(site.settings, PLATFORM)
    assert resolver.commit([site.key]) == ()
    assert site.path.read_text() == before


def test_a_quarantined_image_is_not_refreshed_to(site):
    resolver = site.began()
    second = site.put("app", "nightly", 2)
    resolver.quarantine([site.failed(second, "gpu-3"), site.failed(second)])
    after = site.run()
    assert site.refresh(after).images == site.file.images
    assert after.remarks == {
        site.key: f"nightly means {short(second)} now, which is in quarantine (gate picture failed"
        f" on gpu-2, 2026-11-27, and 1 more): staying at {short(site.first)};"
        " gpuhost.tasks.unquarantine lifts it"
    }
    assert after.commit([site.key]) == ()


@pytest.mark.parametrize("to", ["v2", "digest"])
def test_a_quarantined_image_that_is_asked_for_is_a_problem(site, to):
    resolver = site.began()
    second = site.put("app", "v2", 2)
    resolver.quarantine([site.failed(second)])
    to = second if to == "digest" else to
    assert site.refresh(resolver, to).problems == {
        site.key: f"{site.settings.image_reference}: {to} means {short(second)} now, which is in"
        " quarantine (gate picture failed on gpu-2, 2026-11-27); gpuhost.tasks.unquarantine"
        " lifts it"
    }
    assert resolver.remarks == {}


def test_a_quarantined_first_image_is_a_problem(site):
    resolver = site.run()
    resolver.quarantine([site.failed(site.first)])
    assert "in quarantine" in site.refresh(resolver).problems[site.key]


def test_what_came_into_quarantine_meanwhile_is_not_committed(site):
    resolver, other = site.began(), site.run()
    second = site.put("app", "nightly", 2)
    site.refresh(resolver)
    other.quarantine([site.failed(second)])
    assert resolver.commit([site.key]) == ()
    assert site.file.images[site.key].digest == site.first
    assert "is in quarantine by now (gate picture failed on gpu-2" in resolver.remarks[site.key]


def test_quarantine_leaves_the_images(site):
    resolver = site.began()
    second = site.put("app", "nightly", 2)
    before = site.file.images
    site.refresh(resolver)
    resolver.quarantine([site.failed(second), site.failed("")])
    assert site.file == Lock(before, quarantine=(site.failed(second),))
    assert resolver.lock.is_quarantined(second)
    assert resolver.lift(short(second)) == (site.failed(second),)
    assert resolver.lift() == ()
    assert site.file == Lock(before)
    with pytest.raises(LockError):
        resolver.lift("nonsense")


def test_a_rollback_moves_the_lock_back(site):
    resolver = site.began()
    old = site.file.images[site.key]
    second = site.put("app", "nightly", 2)
    site.refresh(resolver)
    resolver.commit([site.key])
    after = site.run()
    assert after.move_to(after.lock.image_of(site.first, site.key), by="me@home")
    assert site.file.images[site.key] == old == after.lock.images[site.key]
    assert [one.image.digest for one in site.file.history[site.key]] == [second, site.first]
    assert not after.move_to(old)


def test_an_image_without_a_digest_does_not_spoil_the_file(site):
    resolver = site.began()
    before = site.path.read_text()
    with pytest.raises(LockError, match=r"stays as it is, images: .* should hold digest, got"):
        resolver.move_to(replace(site.file.images[site.key], digest=""))
    assert site.path.read_text() == before
    assert resolver.lock.images[site.key].digest == site.first


def test_runs_do_not_lose_each_others_changes(site):
    one, other = site.began(), site.run()
    second = site.put("app", "nightly", 2)
    site.refresh(one)
    other.quarantine([site.failed("sha256:" + "9" * 64)])
    one.commit([site.key])
    assert site.file.images[site.key].digest == second
    assert len(site.file.quarantine) == 1
    assert one.lock.quarantine == site.file.quarantine


def test_a_user_without_a_name_is_a_number(monkeypatch):
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert resolving.operator().partition("@")[0].isdigit()
