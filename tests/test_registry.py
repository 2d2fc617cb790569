import json
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest

from gpuhost.registry import Reference, Registry, RegistryError
from tests import registry_server
from tests.registry_server import DOCKER, OCI, Fault, diff_ids, make_certificates

CONFIG = {
    "architecture": "amd64",
    "os": "linux",
    "created": "2026-11-20T10:00:00Z",
    "config": {
        "Env": ["PATH=/usr/bin", "NVIDIA_REQUIRE_CUDA=cuda>=12.8 brand=tesla,driver>=535"],
        "Labels": {"org.gpuhost.cuda": "12.8"},
    },
}
LAB = Reference.parse("registry.gpuhost.test/app:v1")
PASSWORD = "s4cretpass"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server():
    registry = registry_server.Registry()
    registry.image("app", "v1", CONFIG)
    yield registry
    registry.close()


@pytest.fixture
def other():
    registry = registry_server.Registry()
    yield registry
    registry.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def waits():
    return []


@pytest.fixture
def ask(server, waits):
    def resolve(reference=LAB, platform="linux/amd64", **login):
        registry = Registry(server.url, sleep=waits.append, **login)
        return registry.resolve(reference, platform)

    return resolve


def never(seconds: float) -> None:
    pytest.fail(f"should not wait {seconds} s")


def failure(ask: Any, *arguments: Any, **login: Any) -> str:
    with pytest.raises(RegistryError) as error:
        ask(*arguments, **login)
    text = str(error.value)
    assert "\n" not in text
    assert PASSWORD not in text
    assert text.startswith(str(arguments[0] if arguments else LAB))
    return text.split(": ", 1)[1]


def test_a_tag_is_resolved_without_a_layer(ask, server):
    image = ask()
    manifest = server.content["/v2/app/manifests/v1"]
    assert image.digest == manifest.digest
    assert (image.platform, image.created) == ("linux/amd64", "2026-11-20T10:00:00Z")
    assert image.size == 30
    assert image.layers == tuple(zip(diff_ids((10, 20)), (10, 20), strict=True))
    assert image.labels == {"org.gpuhost.cuda": "12.8"}
    assert image.env["NVIDIA_REQUIRE_CUDA"] == "cuda>=12.8 brand=tesla,driver>=535"
    assert image.reference == LAB
    asked = [(method, path.rpartition("/")[0]) for method, path, _ in server.seen]
    assert asked == [
        ("HEAD", "/v2/app/manifests"), ("GET", "/v2/app/manifests"), ("GET", "/v2/app/blobs"),
    ]  # fmt: skip


def test_a_digest_needs_no_look_at_a_tag(ask, server):
    digest = server.content["/v2/app/manifests/v1"].digest
    assert ask(LAB.at(digest)).digest == digest
    assert [method for method, _, _ in server.seen] == ["GET", "GET"]


def test_a_registry_that_does_not_say_the_digest_is_read(ask, server):
    server.says_digest = False
    assert ask().digest == server.content["/v2/app/manifests/v1"].digest


@pytest.mark.parametrize("kind", [OCI.format("index"), DOCKER.format("list")])
def test_the_digest_of_an_index_is_the_platforms(ask, server, kind):
    amd = server.image("app", None, CONFIG)
    arm = server.image("app", None, {**CONFIG, "architecture": "arm64"}, layers=(7,))
    noise = server.image("app", None, {**CONFIG, "os": "x"})
    server.index("app", "v1", {"unknown/unknown": noise, "linux/arm64/v8": arm,
                               "linux/amd64": amd}, kind)  # fmt: skip
    assert ask().digest == amd.digest
    image = ask(LAB, "linux/arm64")
    assert (image.digest, image.platform, image.size) == (arm.digest, "linux/arm64", 7)


def test_the_plain_platform_wins_over_its_variants(ask, server):
    plain, newer = (server.image("app", None, CONFIG, (n,)) for n in (1, 2))
    server.index("app", "v1", {"linux/amd64/v3": newer, "linux/amd64": plain})
    assert ask().digest == plain.digest


def test_an_index_without_the_platform_says_what_there_is(ask, server):
    image = server.image("app", None, CONFIG)
    server.index("app", "v1", {"linux/s390x": image, "unknown/unknown": image})
    assert failure(ask) == "it is not built for linux/amd64, only for linux/s390x"


def test_a_docker_manifest_is_read_like_an_oci_one(ask, server):
    manifest = json.loads(server.content["/v2/app/manifests/v1"].body)
    manifest["mediaType"] = DOCKER.format("manifest").replace(".manifest.v2", ".v2")
    manifest["config"]["mediaType"] = "application/vnd.docker.container.image.v1+json"
    put = server.manifest("app", "v1", manifest, "application/vnd.docker.distribution.manifest")
    assert ask().digest == put.digest


def test_a_login_is_given_where_it_is_asked_for(ask, server):
    server.auth = "basic"
    assert ask(user="lab", password=PASSWORD).size == 30
    assert [held is None for _, _, held in server.seen] == [True, False, False, False]


def test_a_token_is_fetched_once_and_with_the_login(ask, server):
    server.auth = "token"
    assert ask(user="lab", password=PASSWORD).size == 30
    tokens = [held for _, path, held in server.seen if path.startswith("/token")]
    assert tokens == [server.basic]


def test_a_public_image_needs_a_token_and_no_login(ask, server):
    server.auth = "token"
    assert ask().size == 30


def test_a_token_that_ran_out_is_fetched_again(ask, server):
    server.auth = "token"
    server.faults = [Fault("/blobs/", 401, headers={
        "WWW-Authenticate": f'Bearer realm="{server.url}/token",service="lab",'
        'scope="repository:app:pull"'})]  # fmt: skip
    assert ask().size == 30


@pytest.mark.parametrize("auth", ["basic", "token"])
def test_a_wrong_password_is_named_and_not_shown(ask, server, auth):
    server.auth = auth
    server.basic = "Basic of-somebody-else"
    found = failure(ask, user="lab", password=PASSWORD)
    assert "401" in found
    assert found.endswith("; check the password of 'lab'; or there is no such image")


def test_a_login_that_is_asked_for_and_missing_is_named(ask, server):
    server.auth = "basic"
    assert failure(ask) == (
        f"HEAD {server.url}/v2/app/manifests/v1: 401; give a user and password; "
        "or there is no such image"
    )


def test_a_password_never_travels_in_the_clear(ask, server):
    server.auth, server.realm = "token", "http://auth.gpuhost.test/token"
    assert failure(ask, user="lab", password=PASSWORD) == (
        "http://auth.gpuhost.test/token: should be https, the password would travel in the clear"
    )


def test_neither_repr_nor_str_shows_the_password(server):
    registry = Registry(server.url, user="lab", password=PASSWORD)
    assert PASSWORD not in repr(registry) + str(vars(registry)) + str(registry)


def test_words_of_the_registry_are_shown_without_the_password(ask, server):
    body = json.dumps({"errors": [{"code": "DENIED", "message": f"no {PASSWORD}\n\x1b[31m"}]})
    digest = server.content["/v2/app/manifests/v1"].digest
    server.faults = [Fault(digest, 403, body=body.encode())]
    assert failure(ask, user="lab", password=PASSWORD) == (
        f"GET {server.url}/v2/app/manifests/{digest}: 403 DENIED no *** [31m; "
        "'lab' may not pull this image, give one who may"
    )


def test_a_missing_image_is_named(ask, server):
    missing = Reference.parse("registry.gpuhost.test/app:v9")
    assert failure(ask, missing) == (
        f"HEAD {server.url}/v2/app/manifests/v9: 404; "
        "there is no such image, check registry, repository and tag"
    )


def test_too_many_pulls_wait_as_long_as_the_registry_asks(ask, server, waits):
    server.faults = [Fault("/manifests/", 429, times=2, headers={"Retry-After": "7"})]
    assert ask().size == 30
    assert waits == [7.0, 7.0]


def test_too_many_pulls_without_a_time_back_off(ask, server, waits):
    server.faults = [Fault("/manifests/", 429, times=3)]
    assert ask().size == 30
    assert waits == [1.0, 2.0, 4.0]


def test_a_date_to_wait_for_is_understood(ask, server, waits):
    past = {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}
    server.faults = [Fault("/manifests/", 429, headers=past)]
    assert ask().size == 30
    assert waits == [0.0]


def test_a_wait_that_is_too_long_is_an_answer(ask, server, waits):
    server.faults = [Fault("/manifests/", 429, times=9, headers={"Retry-After": "21600"})]
    assert failure(ask) == (
        f"HEAD {server.url}/v2/app/manifests/v1: 429; "
        "too many pulls, try again in 21600 s, log in, or use a mirror"
    )
    assert waits == []


def test_a_registry_that_stumbles_is_asked_again(ask, server, waits):
    server.faults = [Fault("/manifests/", 503, times=2), Fault("/blobs/", 502)]
    assert ask().size == 30
    assert waits == [0.5, 1.0, 0.5]


def test_a_registry_that_stays_down_is_given_up(ask, server, waits):
    server.faults = [Fault("/manifests/", 503, times=99)]
    assert failure(ask) == (
        f"HEAD {server.url}/v2/app/manifests/v1: 503; is this a registry, and is it well?"
    )
    assert len(waits) == 3


def test_a_config_that_is_not_what_its_digest_says_is_refused(ask, server):
    path = next(path for path in server.content if "/blobs/" in path)
    server.content[path] = registry_server.Content("", b'{"os": "evil"}')
    assert "came with other content" in failure(ask)


def test_a_manifest_that_is_not_what_its_digest_says_is_refused(ask, server):
    digest = server.content["/v2/app/manifests/v1"].digest
    server.content[f"/v2/app/manifests/{digest}"] = registry_server.Content("", b"{}")
    assert failure(ask).startswith(f"{digest}: came with other content")


@pytest.mark.parametrize(("document", "says"), [
    ({"config": {"mediaType": "application/vnd.cncf.helm.config.v1+json"}},
     "should be a container image, got one with config 'application/vnd.cncf.helm.config.v1+json'"),
    ({}, "should be a container image, got one with config None"),
    ([], "should be an object, got []"),
    ({"config": {"mediaType": OCI.format("config"), "digest": "sha256:1"}, "layers": []},
     "the manifest: has no usable digest, got 'sha256:1'"),
])  # fmt: skip
def test_what_is_no_image_is_refused(ask, server, document, says):
    server.manifest("app", "v1", document, OCI.format("manifest"))
    assert failure(ask).endswith(says)


def test_layers_without_a_size_are_refused(ask, server):
    manifest = json.loads(server.content["/v2/app/manifests/v1"].body)
    manifest["layers"] = [{"size": "1"}]
    server.manifest("app", "v1", manifest, OCI.format("manifest"))
    assert failure(ask).endswith("has layers without a size")


def test_an_index_of_itself_ends(ask, server):
    inner = server.image("app", None, CONFIG)
    for _ in range(4):
        inner = server.index("app", "v1", {"linux/amd64": inner})
    assert failure(ask).endswith("is an index of indexes of indexes")


def test_an_endless_answer_is_cut(ask, server):
    server.manifest("app", "v1", "x" * (9 << 20), OCI.format("manifest"))
    assert failure(ask).endswith(": the answer is larger than 8388608 bytes; is this a registry?")


def test_a_page_of_somebody_else_is_refused(ask, server):
    digest = server.content["/v2/app/manifests/v1"].digest
    server.faults = [Fault(digest, 200, body=b"<html>sign in to the hotel</html>")]
    assert "came with other content" in failure(ask)


def test_nobody_listening_is_named(waits):
    closed = registry_server.Registry()
    closed.close()
    registry = Registry(closed.url, sleep=waits.append)
    with pytest.raises(RegistryError) as error:
        registry.resolve(LAB)
    assert str(error.value) == (
        f"{LAB}: HEAD {closed.url}/v2/app/manifests/v1: Connection refused; "
        "is the address right and the registry up?"
    )
    assert waits == [0.5, 1.0, 2.0]


def test_silence_is_named(waits):
    with subprocess.Popen(
        [sys.executable, "-c", "import socket,time;s=socket.create_server(('127.0.0.1',0));"
         "print(s.getsockname()[1],flush=True);time.sleep(60)"],
        stdout=subprocess.PIPE, text=True,
    ) as mute:  # fmt: skip
        assert mute.stdout
        port = mute.stdout.readline().strip()
        registry = Registry(f"http://127.0.0.1:{port}", timeout=0.2, sleep=waits.append)
        with pytest.raises(RegistryError, match=r"no answer within 0\.2 s; is the registry up\?"):
            registry.resolve(LAB)
        mute.kill()


def test_a_private_authority_is_trusted_when_given(certificates, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "")
    authority, server_certificate = certificates
    server = registry_server.Registry(server_certificate)
    server.image("app", "v1", CONFIG)
    try:
        assert Registry(server.url, ca=authority).resolve(LAB).size == 30
        with pytest.raises(RegistryError, match=r"is the registry's CA given\?"):
            Registry(server.url, sleep=never).resolve(LAB)
    finally:
        server.close()


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_an_authority_that_is_none_is_refused(content, tmp_path):
    if content:
        (tmp_path / "ca").write_text(content)
    with pytest.raises(RegistryError, match=r"registry CA '.*/ca': should be PEM, got "):
        Registry(ca=tmp_path / "ca")


@pytest.mark.parametrize("endpoint", ["registry:5000", "ftp://x", "https://"])
def test_an_endpoint_that_is_none_is_refused(endpoint):
    with pytest.raises(RegistryError, match="registry endpoint: should look like"):
        Registry(endpoint)


def test_an_endpoint_with_a_login_is_refused_and_not_shown():
    with pytest.raises(RegistryError) as error:
        Registry(f"https://lab:{PASSWORD}@registry")
    assert PASSWORD not in str(error.value)


HUB = Reference.parse("app/app:v1")


def test_a_mirror_is_asked_first_and_never_sees_the_login(server, other):
    other.image("app/app", "v1", CONFIG)
    other.auth = "none"
    registry = Registry(server.url, "lab", PASSWORD, mirrors=[other.url])
    assert registry.resolve(HUB).size == 30
    assert server.seen == []
    assert {held for _, _, held in other.seen} == {None}


@pytest.mark.parametrize("status", [401, 404, 429, 503])
def test_a_mirror_that_fails_is_passed_over(server, other, status):
    other.faults = [Fault("/", status, times=99)]
    server.image("app/app", "v1", CONFIG)
    registry = Registry(server.url, mirrors=[other.url], sleep=never)
    assert registry.resolve(HUB).size == 30
    assert len(other.seen) == 1


def test_mirrors_of_docker_hub_are_not_asked_for_other_registries(server, other):
    other.image("app", "v1", CONFIG)
    assert Registry(server.url, mirrors=[other.url]).resolve(LAB).size == 30
    assert other.seen == []


def test_a_registry_on_loopback_is_found_by_its_reference(server):
    reference = Reference.parse(f"{server.url.removeprefix('http://')}/app:v1")
    assert Registry().resolve(reference).size == 30


def test_a_netrc_of_the_user_is_not_sent(ask, server, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    ask()
    assert {held for _, _, held in server.seen} == {None}


@pytest.mark.parametrize(
    "rootfs",
    [None, {}, {"diff_ids": ["sha256:1"]}, {"diff_ids": [1, 2]}, {"diff_ids": "sha256:1"}],
)
def test_layers_are_empty_where_config_and_manifest_do_not_agree(ask, server, rootfs):
    server.image("app", "v1", {**CONFIG, "rootfs": rootfs})
    image = ask()
    assert (image.layers, image.size) == ((), 30)


def test_an_image_of_another_platform_is_refused(ask, server):
    server.image("app", "v1", {**CONFIG, "architecture": "arm64"})
    assert failure(ask) == "it is built for linux/arm64, not for linux/amd64"
    assert ask(LAB, "linux/arm64/v8").platform == "linux/arm64"


def test_the_digest_of_a_plain_tag_costs_no_pull(server):
    found = Registry(server.url).digest(LAB)
    assert found == server.content["/v2/app/manifests/v1"].digest
    assert [method for method, _, _ in server.seen] == ["HEAD"]


def test_the_digest_of_a_tag_of_an_index_is_the_platforms(ask, server):
    amd, arm = (server.image("app", None, CONFIG, (n,)) for n in (1, 2))
    index = server.index("app", "v1", {"linux/arm64": arm, "linux/amd64": amd})
    registry = Registry(server.url)
    assert registry.digest(LAB) == amd.digest == ask().digest
    assert registry.digest(LAB.at(index.digest), "linux/arm64") == arm.digest
    asked = [(method, path.rpartition("/")[2]) for method, path, _ in server.seen[:2]]
    assert asked == [("HEAD", "v1"), ("GET", index.digest)]
    assert [path for _, path, _ in server.seen[:2] if "/blobs/" in path] == []


def test_too_many_tokens_wait_as_long_as_the_registry_asks(ask, server, waits):
    server.auth = "token"
    server.faults = [Fault("/token", 429, times=2, headers={"Retry-After": "3"})]
    assert ask().size == 30
    assert waits == [3.0, 3.0]


def test_a_token_that_is_not_given_in_time_is_named(ask, server, waits):
    server.auth = "token"
    server.faults = [Fault("/token", 429, times=9, headers={"Retry-After": "3600"})]
    assert failure(ask, user="lab", password=PASSWORD) == (
        f"GET {server.url}/token: 429; too many pulls, try again in 3600 s, log in, or use a mirror"
    )
    assert waits == []


def test_a_date_to_come_is_waited_for(ask, server, waits):
    soon = datetime.now(timezone.utc) + timedelta(seconds=20)
    server.faults = [
        Fault("/manifests/", 429, headers={"Retry-After": format_datetime(soon, usegmt=True)})
    ]
    assert ask().size == 30
    assert waits == [pytest.approx(19, abs=2)]


@pytest.mark.parametrize("odd", ["soon", "-5", "1.5", "Wed, 99 Foo", ""])
def test_a_wait_that_cannot_be_read_backs_off(ask, server, waits, odd):
    server.faults = [Fault("/manifests/", 429, headers={"Retry-After": odd})]
    assert ask().size == 30
    assert waits == [1.0]


@pytest.mark.parametrize("first", [True, False])
def test_of_two_ways_to_log_in_the_token_is_taken(ask, server, first):
    server.auth = "token"
    token = f'Bearer realm="{server.url}/token",service="lab",scope="repository:app:pull"'
    ways = [token, 'Basic realm="Registry Realm"']
    server.faults = [Fault("/v2/", 401, headers={
        "WWW-Authenticate": ", ".join(ways if first else reversed(ways))})]  # fmt: skip
    assert ask(user="lab", password=PASSWORD).size == 30
    assert [held for _, path, held in server.seen if path.startswith("/token")] == [server.basic]


def test_a_store_behind_the_registry_never_sees_the_login(ask, server, other):
    server.auth = "basic"
    blob = next(path for path in server.content if "/blobs/" in path)
    other.content[blob] = server.content[blob]
    server.faults = [Fault("/blobs/", 307, headers={"Location": f"{other.url}{blob}"})]
    assert ask(user="lab", password=PASSWORD).size == 30
    assert [held for _, _, held in other.seen] == [None]


def test_importing_the_module_does_not_import_requests():
    code = "import sys, gpuhost.registry; sys.exit('requests' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
