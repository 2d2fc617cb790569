import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuhost.reference import Reference, ReferenceError_

DIGEST = "sha256:" + "a1" * 32


@pytest.mark.parametrize(("text", "canonical"), [
    ("debian", "docker.io/library/debian:latest"),
    ("debian:trixie-slim", "docker.io/library/debian:trixie-slim"),
    ("docker.io/debian", "docker.io/library/debian:latest"),
    ("index.docker.io/yanwk/app:1", "docker.io/yanwk/app:1"),
    ("docker.io/yanwk/sd-webui-base:nightly", "docker.io/yanwk/sd-webui-base:nightly"),
    ("yanwk/sd-webui-base", "docker.io/yanwk/sd-webui-base:latest"),
    ("registry.example/app:1.4.2", "registry.example/app:1.4.2"),
    ("registry.example:5000/a/b/c:x", "registry.example:5000/a/b/c:x"),
    ("localhost/app", "localhost/app:latest"),
    ("127.0.77.2:5000/app:v1", "127.0.77.2:5000/app:v1"),
    ("[::1]:5000/app:v1", "[::1]:5000/app:v1"),
    ("Host/app:v1", "Host/app:v1"),
    (f"debian@{DIGEST}", f"docker.io/library/debian@{DIGEST}"),
    (f"registry.example/app:v1@{DIGEST}", f"registry.example/app:v1@{DIGEST}"),
    ("a/b__c.d-e--f:_x", "docker.io/a/b__c.d-e--f:_x"),
])  # fmt: skip
def test_references_are_read_as_docker_reads_them(text, canonical):
    reference = Reference.parse(text)
    assert str(reference) == canonical
    assert Reference.parse(canonical) == reference


@pytest.mark.parametrize(("text", "says"), [
    ("", "repository should be lower-case words joined by / . _ -, got ''"),
    ("registry.example/", "repository should be lower-case words joined by / . _ -, got ''"),
    ("yanwk/Base:1", "repository should be lower case, 'yanwk/base', got 'yanwk/Base'"),
    ("app:", "tag should be letters, digits and _ . -, up to 128, got ''"),
    ("app:a b", "tag should be letters, digits and _ . -, up to 128, got 'a b'"),
    ("app:-x", "tag should be letters, digits and _ . -, up to 128, got '-x'"),
    ("app@sha256:12", "digest should be 'sha256:' and 64 hex digits, got 'sha256:12'"),
    ("app@", "digest should be 'sha256:' and 64 hex digits, got ''"),
    ("https://x/app", "registry should be a host name or address, with a port, got 'https:'"),
    ("user@host.example/app", "digest should be 'sha256:' and 64 hex digits, got"
     " 'host.example/app'"),
    ("registry.example:port/app", "registry should be a host name or address, with a port, got"
     " 'registry.example:port'"),
    ("a..b/c", "registry should be a host name or address, with a port, got 'a..b'"),
])  # fmt: skip
def test_what_is_no_reference_is_refused(text, says):
    with pytest.raises(ReferenceError_) as refusal:
        Reference.parse(text)
    assert str(refusal.value) == f"image reference {text!r}: {says}"


def test_a_reference_at_a_digest_has_no_tag():
    pinned = Reference.parse("registry.example/app:v1").at(DIGEST)
    assert str(pinned) == f"registry.example/app@{DIGEST}"
    assert pinned.name == "registry.example/app"
    with pytest.raises(ReferenceError_, match="digest should be 'sha256:' and 64 hex digits"):
        pinned.at("sha256:1")


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_in_one_line(text):
    try:
        reference = Reference.parse(text)
    except ReferenceError_ as refusal:
        assert "\n" not in str(refusal)  # noqa: PT017
    else:
        assert Reference.parse(str(reference)) == reference
