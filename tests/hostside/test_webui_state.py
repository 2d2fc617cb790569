"""The WebUI's settings come back with its release; pictures, models and links are left alone."""

from __future__ import annotations

import os

import pytest

from gpuhost.hostside import webui_state
from tests.hostside.world import World, contents, furnish


@pytest.fixture
def world(tmp_path):
    found = World(tmp_path)
    furnish(found)
    return found


@pytest.fixture
def webui(world):
    return world.storage / "stable-diffusion-webui"


@pytest.fixture
def copy(world):
    return world.folder / "copy"


def save(world, copy):
    webui_state.save(str(world.storage), copy)


def bring_back(world, copy):
    return webui_state.bring_back(copy, str(world.storage))


def test_settings_come_back_as_they_were(world, webui, copy):
    before = contents(world.storage)
    save(world, copy)
    (webui / "config.json").write_text("{}")
    (webui / "ui-config.json").unlink()
    assert bring_back(world, copy) == []
    assert contents(world.storage) == before
    assert (webui / "config.json").stat().st_uid == webui.stat().st_uid


def test_settings_that_were_not_there_go(world, webui, copy):
    (webui / "config.json").unlink()
    save(world, copy)
    (webui / "config.json").write_text("{}")
    bring_back(world, copy)
    assert not (webui / "config.json").exists()


def test_a_data_folder_without_a_folder_of_its_own_is_one_as_a_whole(tmp_path):
    storage, copy = tmp_path / "storage", tmp_path / "copy"
    storage.mkdir()
    (storage / "config.json").write_text("old")
    webui_state.save(str(storage), copy)
    (storage / "config.json").write_text("new")
    webui_state.bring_back(copy, str(storage))
    assert (storage / "config.json").read_text() == "old"


def test_new_pictures_and_models_stay(world, webui, copy):
    save(world, copy)
    (webui / "outputs" / "new.png").write_text("x")
    (webui / "models" / "new.safetensors").write_text("x")
    bring_back(world, copy)
    assert (webui / "outputs" / "new.png").exists()
    assert (webui / "models" / "new.safetensors").exists()


def test_nothing_is_read_through_a_link(world, webui, copy):
    secret = world.folder / "secret"
    secret.write_text("root's own")
    (webui / "config.json").unlink()
    (webui / "config.json").symlink_to(secret)
    save(world, copy)
    assert b"root's own" not in contents(copy).values()


def test_nothing_is_written_through_a_link(world, webui, copy):
    victim = world.folder / "victim"
    victim.write_text("mine")
    save(world, copy)
    (webui / "config.json").unlink()
    (webui / "config.json").symlink_to(victim)
    (webui / ".config.json.gpuhost-new").symlink_to(victim)
    bring_back(world, copy)
    assert victim.read_text() == "mine"
    assert not (webui / "config.json").is_symlink()


def test_a_link_that_was_a_link_before_stays_one(world, webui, copy):
    shared = world.folder / "shared.json"
    shared.write_text("{}")
    (webui / "config.json").unlink()
    (webui / "config.json").symlink_to(shared)
    save(world, copy)
    bring_back(world, copy)
    assert (webui / "config.json").is_symlink()
    assert shared.read_text() == "{}"


def test_a_file_too_large_for_settings_is_left_alone(world, webui, copy, monkeypatch):
    monkeypatch.setattr(webui_state, "MOST", 8)
    save(world, copy)
    bring_back(world, copy)
    assert (webui / "config.json").stat().st_size > 8


def test_a_folder_behind_a_link_is_not_entered(world, webui, copy):
    elsewhere = world.folder / "elsewhere"
    webui.rename(elsewhere)
    webui.symlink_to(elsewhere)
    save(world, copy)
    assert set(contents(copy)) == {"extensions.json"}


def test_a_pipe_does_not_hang(world, webui, copy):
    (webui / "config.json").unlink()
    os.mkfifo(webui / "config.json")
    save(world, copy)
    assert not (copy / "config.json").exists()


def test_half_a_copy_brings_nothing_back(world, webui, copy):
    save(world, copy)
    (copy / "extensions.json").unlink()
    (copy / "config.json").write_text("half")
    before = contents(world.storage)
    assert bring_back(world, copy) == []
    assert contents(world.storage) == before


def test_a_storage_that_cannot_be_read_leaves_no_earlier_copy(world, copy):
    save(world, copy)
    webui_state.save(str(world.folder / "nowhere"), copy)
    assert contents(copy) == {}


def test_extensions_by_their_commits(world, webui, copy):
    save(world, copy)
    extensions = webui / "extensions"
    (extensions / "lovely" / ".git" / "HEAD").write_text("2" * 40)
    (extensions / "plain").mkdir()
    (extensions / "packed" / ".git").mkdir(parents=True)
    (extensions / "packed" / ".git" / "HEAD").write_text("ref: refs/heads/x\n")
    (extensions / "packed" / ".git" / "packed-refs").write_text(
        f"# pack-refs\n{'3' * 40} refs/heads/x\n"
    )
    (extensions / "sly" / ".git").mkdir(parents=True)
    (extensions / "sly" / ".git" / "HEAD").write_text("ref: ../../../config.json")
    assert bring_back(world, copy) == [
        f"extension lovely was {'1' * 40}, is {'2' * 40}",
        f"extension packed was absent, is {'3' * 40}",
        "extension plain was absent, is no git clone",
        "extension sly was absent, is no git clone",
    ]


def test_what_was_never_saved_is_not_brought_back(world, copy):
    before = contents(world.storage)
    assert bring_back(world, copy) == []
    assert contents(world.storage) == before
