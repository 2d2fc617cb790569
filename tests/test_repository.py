"""What makes a repository trusted: its file, its key, and that a host is asked about both."""

import configparser

import pytest

from gpuhost import actions
from gpuhost.observation import questions
from gpuhost.planning import plan
from gpuhost.planning.repository import source_words
from tests.defaults import checked
from tests.test_plan import CASES, plan_of

HOSTS = {"fedora42": {}, "rocky9": {}, "leap15": {"engine_source": "distro"}}


def repositories(system):
    """The .repo files of a bare host, by section."""
    steps = plan(*plan_of({"host": f"bare {system}", "settings": HOSTS[system]})).steps
    written = [one for step in steps for one in step.actions if isinstance(one, actions.WriteFile)]
    found = configparser.ConfigParser(interpolation=None)
    for one in written:
        if one.path.endswith(".repo"):
            found.read_string(one.content.decode())
    return {name: dict(found[name]) for name in found.sections()}


@pytest.mark.parametrize("system", HOSTS)
def test_the_toolkits_metadata_is_checked(system):
    assert repositories(system)["gpuhost-nvidia-container-toolkit"] == {
        "name": "NVIDIA Container Toolkit",
        "baseurl": "https://nvidia.github.io/libnvidia-container/stable/rpm/$basearch",
        "enabled": "1",
        "repo_gpgcheck": "1",
        "gpgcheck": "0",
        "gpgkey": "file:///etc/pki/rpm-gpg/RPM-GPG-KEY-gpuhost-nvidia-container-toolkit",
    }


@pytest.mark.parametrize(("system", "distribution"), [("fedora42", "fedora"), ("rocky9", "centos")])
def test_dockers_packages_are_checked(system, distribution):
    url = f"https://download.docker.com/linux/{distribution}/$releasever/$basearch/stable"
    assert repositories(system)["gpuhost-docker"] == {
        "name": "Docker",
        "baseurl": url,
        "enabled": "1",
        "gpgcheck": "1",
        "gpgkey": "file:///etc/pki/rpm-gpg/RPM-GPG-KEY-gpuhost-docker",
    }


def test_opensuse_gets_no_repository_of_dockers():
    assert list(repositories("leap15")) == ["gpuhost-nvidia-container-toolkit"]


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_host_is_asked_about_every_file_that_is_written(name):
    state, chosen, *rest = plan_of(CASES[name])
    asked = questions(chosen)
    for step in plan(state, chosen, *rest).steps:
        for action in step.actions:
            if isinstance(action, (actions.WriteFile, actions.WriteKey)):
                assert action.path in asked["files"]
            if isinstance(action, actions.WriteKey):
                assert action.path in asked["contents"]


def test_a_host_is_asked_about_other_sources_of_both_kinds():
    assert questions(checked())["source_words"] == [
        "download.docker.com/linux",
        "nvidia.github.io/libnvidia-container/stable/deb",
        "nvidia.github.io/libnvidia-container/stable/rpm",
    ]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://mirror.example/docker/{distribution}/$releasever", "mirror.example/docker"),
        ("http://mirror.example/nvidia/$basearch", "mirror.example/nvidia"),
        ("https://mirror.example/deb/", "mirror.example/deb"),
        ("https://mirror.example/{distribution}", ""),
        ("https://mirror.example", ""),
    ],
)
def test_a_repository_is_known_by_the_fixed_part_of_its_address(url, words):
    assert source_words(url) == words
