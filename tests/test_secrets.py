import pytest

from gpuhost import secrets
from gpuhost.secrets import SecretError, Secrets
from tests.defaults import checked

CERTIFICATE = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


@pytest.fixture
def file(tmp_path):
    def make(text, mode=0o600):
        path = tmp_path / "password"
        path.write_text(text)
        path.chmod(mode)
        return str(path)

    return make


def read(environment=None, **changes):
    return secrets.read(checked(**changes), environment or {})


def fails(environment=None, **changes):
    with pytest.raises(SecretError) as caught:
        read(environment, **changes)
    assert "hunter2" not in str(caught.value)
    return str(caught.value)


def test_no_login_needs_no_password():
    assert read() == Secrets()


def test_passwords_from_the_environment():
    found = read(
        {"R": "hunter2", "W": "sesame"},
        image_registry_user="puller", image_registry_password_env="R",
        webui_user="painter", webui_password_env="W",
    )  # fmt: skip
    assert (found.registry, found.webui) == ("hunter2", "sesame")


def test_a_password_from_a_file_loses_its_last_line_end(file):
    path = file("hunter 2:$\n")
    found = read(image_registry_user="puller", image_registry_password_file=path)
    assert found.registry == "hunter 2:$"


def test_the_environment_comes_first_and_the_file_is_there_for_the_rest(file):
    both = {"webui_user": "painter", "webui_password_env": "W", "webui_password_file": file("f")}
    assert read({"W": "e"}, **both).webui == "e"
    assert read({"W": ""}, **both).webui == "f"
    assert read({}, **both).webui == "f"


def test_a_file_in_the_home_folder(file, monkeypatch, tmp_path):
    file("hunter2")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read(webui_user="painter", webui_password_file="~/password").webui == "hunter2"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_file_that_others_can_read(file, mode):
    path = file("hunter2", mode)
    assert fails(webui_user="painter", webui_password_file=path) == (
        f"webui_password_file: should be mode 0600, got {mode:04o} (chmod 600 {path})"
    )


def test_an_empty_file(file):
    path = file("\n")
    assert fails(webui_user="painter", webui_password_file=path) == (
        f"webui_password_file: should hold the password, got an empty file {path}"
    )


def test_a_file_that_is_no_text(tmp_path):
    path = tmp_path / "password"
    path.write_bytes(b"\xff\xfe")
    path.chmod(0o600)
    assert fails(webui_user="painter", webui_password_file=str(path)) == (
        f"webui_password_file: should be UTF-8 text, got other bytes: {path}"
    )


def test_an_unset_variable():
    assert fails(webui_user="painter", webui_password_env="W") == (
        "webui_password_env: should name a variable that holds the password, got nothing in 'W'"
        " (export W=..., or set webui_password_file)"
    )


@pytest.mark.parametrize("letter", [*" \t:,'\"\\*?[];$"])
def test_a_password_that_the_webui_cannot_read(letter):
    assert fails({"W": f"hunter2{letter}"}, webui_user="painter", webui_password_env="W") == (
        "webui_password: should not hold blanks, quotes or any of : , * ? [ ] ; $ \\"
        " (the WebUI cannot read them)"
    )


def test_all_that_is_wrong_is_said():
    said = fails(
        webui_user="painter", webui_password_env="W",
        image_registry_user="puller", image_registry_password_env="R",
        image_registry_ca="/nowhere/ca.pem",
    )  # fmt: skip
    assert [line.partition(":")[0] for line in said.splitlines()] == [
        "image_registry_password_env", "webui_password_env", "image_registry_ca"
    ]  # fmt: skip


def test_a_certificate_is_read(tmp_path):
    path = tmp_path / "ca.pem"
    path.write_bytes(CERTIFICATE)
    assert read(image_registry_ca=str(path)).registry_ca == CERTIFICATE


def test_what_is_no_certificate(tmp_path):
    path = tmp_path / "ca.pem"
    path.write_bytes(b"\x30\x82")
    assert fails(image_registry_ca=str(path)) == (
        f"image_registry_ca: should be a PEM certificate, got something else: {path}"
    )


def test_secrets_do_not_show():
    assert repr(Secrets("hunter2", "sesame", CERTIFICATE)) == "Secrets()"
