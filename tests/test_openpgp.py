import base64
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuhost.openpgp import OpenPGPError, fingerprints

ALGORITHMS = {"rsa": "rsa2048", "ed25519": "ed25519"}


class Keyring:
    def __init__(self, home: Path) -> None:
        self.home = home
        home.chmod(0o700)

    def gpg(self, *arguments: str) -> bytes:
        command = ["gpg", "--homedir", str(self.home), "--batch", "--quiet", *arguments]
        return subprocess.run(command, check=True, capture_output=True, timeout=120).stdout

    def make(self, algorithm: str) -> str:
        mail = f"{algorithm}@gpuhost.test"
        self.gpg("--passphrase", "", "--quick-generate-key", mail, algorithm, "sign", "never")
        listing = self.gpg("--with-colons", "--list-keys", mail).decode().splitlines()
        return next(line.split(":")[9] for line in listing if line.startswith("fpr"))


@pytest.fixture(scope="module")
def keyring(tmp_path_factory):
    ring = Keyring(tmp_path_factory.mktemp("gnupg"))
    yield ring
    subprocess.run(["gpgconf", "--homedir", ring.home, "--kill", "all"], check=True, timeout=60)


@pytest.fixture(scope="module")
def keys(keyring):
    made = {name: keyring.make(algorithm) for name, algorithm in ALGORITHMS.items()}
    for fingerprint in made.values():
        keyring.gpg("--passphrase", "", "--quick-add-key", fingerprint, "rsa2048", "encr", "never")
    return made


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("armour", [[], ["--armor"]], ids=["binary", "armoured"])
def test_a_key_has_the_fingerprint_that_gpg_says(keyring, keys, name, armour):
    exported = keyring.gpg("--export", *armour, keys[name])
    assert fingerprints(exported) == (keys[name],)


@pytest.mark.parametrize("armour", [[], ["--armor"]], ids=["binary", "armoured"])
def test_several_keys_come_in_file_order(keyring, keys, armour):
    exported = keyring.gpg("--export", *armour)
    assert fingerprints(exported) == tuple(keys.values())


def test_armour_blocks_may_follow_each_other(keyring, keys):
    blocks = [keyring.gpg("--export", "--armor", key) for key in keys.values()]
    assert fingerprints(b"some words\n" + b"\n".join(blocks)) == tuple(keys.values())


def test_armour_may_have_headers_and_carriage_returns(keyring, keys):
    block = keyring.gpg("--export", "--armor", "--comment", "made by: hand", keys["rsa"])
    assert b"Comment: made by: hand" in block
    assert fingerprints(block.replace(b"\n", b"\r\n")) == (keys["rsa"],)


def test_armour_may_lack_its_checksum(keyring, keys):
    lines = keyring.gpg("--export", "--armor", keys["ed25519"]).splitlines(keepends=True)
    assert lines[-2].startswith(b"=")
    assert fingerprints(b"".join([*lines[:-2], lines[-1]])) == (keys["ed25519"],)


def test_a_new_style_packet_header_means_the_same(keyring, keys):
    exported = keyring.gpg("--export", keys["rsa"])
    assert exported[0] == 0x99, "gpg writes old headers with two bytes of length"
    length = int.from_bytes(exported[1:3], "big")
    two = bytes([((length - 192) >> 8) + 192, (length - 192) & 0xFF])
    for header in (b"\xc6" + two, b"\xc6\xff" + length.to_bytes(4, "big")):
        assert fingerprints(header + exported[3:]) == (keys["rsa"],)


def test_a_private_key_is_refused(keyring, keys):
    arguments = ["--pinentry-mode", "loopback", "--passphrase", "", "--export-secret-keys"]
    binary = keyring.gpg(*arguments, keys["ed25519"])
    assert message(binary) == "should be a public key, got a private key"
    armoured = keyring.gpg("--armor", *arguments, keys["ed25519"])
    assert message(armoured) == "should be a public key block, got a private key block"


def test_a_signature_is_refused(keyring, keys, tmp_path):
    (tmp_path / "text").write_text("x")
    signature = keyring.gpg("--passphrase", "", "-o-", "--detach-sign", str(tmp_path / "text"))
    assert message(signature) == "should be a public key, got a signature"


def test_a_damaged_armour_is_refused(keyring, keys):
    block = keyring.gpg("--export", "--armor", keys["rsa"])
    middle = len(block) // 2
    flipped = b"A" if block[middle : middle + 1] != b"A" else b"B"
    damaged = block[:middle] + flipped + block[middle + 1 :]
    assert message(damaged) == "the armour's checksum does not match; the file is damaged"
    start = block.index(b"\n\n") + 2
    assert message(block[:start] + b"*" + block[start + 1 :]) == (
        "the armour is not base64; the file is damaged"
    )


def test_a_file_cut_off_is_refused(keyring, keys):
    block = keyring.gpg("--export", "--armor", keys["rsa"])
    assert message(block[:400]) == (
        "the armour has a beginning and no matching end; the file is cut off"
    )
    assert message(keyring.gpg("--export", keys["rsa"])[:200]) == "the packet at byte 0 is cut off"


def packet(tag: int, body: bytes) -> bytes:
    return bytes([0xC0 | tag, len(body)]) + body


def message(data: bytes) -> str:
    with pytest.raises(OpenPGPError) as refusal:
        fingerprints(data)
    return str(refusal.value).removeprefix("OpenPGP key: ")


@pytest.mark.parametrize(("data", "says"), [
    (b"", "the file is empty"),
    (b" \n", "the file is empty"),
    (b"<!DOCTYPE html><html>404", "should be a key, got a web page; check the address it was "
     "fetched from"),
    (b"Not Found", "should be ASCII armour or binary OpenPGP, got text that starts b'Not Found'"),
    (packet(6, b"\x06" + b"x" * 40), "should be a version 4 key, got version 6; ask for a version "
     "4 key"),
    (packet(6, b"\x05" + b"x" * 40), "should be a version 4 key, got version 5; ask for a version "
     "4 key"),
    (packet(6, b"\x03" + b"x" * 40), "should be a version 4 key, got version 3; ask for a version "
     "4 key"),
    (packet(6, b""), "should be a version 4 key, got version 0; ask for a version 4 key"),
    (packet(6, b"\x04x"), "a public key packet of 2 bytes is no key"),
    (packet(14, b"\x04" + b"x" * 40), "should be a public key, got a subkey without its key"),
    (packet(13, b"someone"), "there is no public key in the file"),
    (b"\xc6\xe1x", "the packet at byte 0 comes in parts, which a key never does"),
    (b"\x9bx", "the packet at byte 0 has no length, which a key always has"),
    (b"\xc6", "the packet header at byte 0 is cut off"),
    (packet(10, b"PGP") + b"\x01", "byte 5 should start a packet, got 0x01"),
])  # fmt: skip
def test_refusals_say_what_is_wrong(data, says):
    assert message(data) == says


def armoured(data: bytes) -> bytes:
    lines = [b"-----BEGIN PGP PUBLIC KEY BLOCK-----", b"", base64.b64encode(data)]
    return b"\n".join([*lines, b"-----END PGP PUBLIC KEY BLOCK-----", b""])


def only_refuses(data: bytes) -> None:
    try:
        found = fingerprints(data)
    except OpenPGPError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert all(len(fingerprint) == 40 for fingerprint in found)


@settings(deadline=None)
@given(st.binary() | st.binary().map(armoured) | st.binary().map(lambda data: b"\x99" + data))
def test_any_bytes_are_read_or_refused_in_one_line(data):
    only_refuses(data)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 63), st.binary(max_size=60)), max_size=4))
def test_any_packets_are_read_or_refused_in_one_line(packets):
    only_refuses(b"".join(packet(tag, body) for tag, body in packets))
