"""What each login of the WebUI stand-in protects, and what it leaves open."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from tests.standins.conftest import Process

API = ("/sdapi/v1/memory", "/sdapi/v1/progress", "/sdapi/v1/options", "/sdapi/v1/cmd-flags")
UI = ("/queue/status", "/config", "/info", "/login_check")
OPEN = ("/", "/internal/ping", "/internal/pending-tasks", "/app_id", "/token", "/sdapi/v1/loras")
LOGIN_PAGE = '"auth_required":true'
FULL_PAGE = '"version":"3.41.2"'


def codes(webui: Process, paths: Iterable[str], **options: Any) -> set[int]:
    return {webui.get(path, **options).status_code for path in paths}


def test_no_login(plain):
    assert codes(plain, (*API, *UI, *OPEN)) == {200}
    assert FULL_PAGE in plain.get("/").text


def test_api_login_protects_the_api_alone(locked):
    assert codes(locked, API) == {401}
    assert codes(locked, (*UI, *OPEN)) == {200}
    assert FULL_PAGE in locked.get("/").text
    assert codes(locked, API, auth=("alice", "secret")) == {200}
    assert codes(locked, API, auth=("carl", "x")) == {200}


@pytest.mark.parametrize(
    ("header", "body"),
    [
        (None, b'{"error":"HTTPException","detail":"Not authenticated","body":"","errors":""}'),
        (
            "Basic YWxpY2U6d3Jvbmc=",
            b'{"error":"HTTPException","detail":"Incorrect username or password",'
            b'"body":"","errors":""}',
        ),
        (
            "Basic !!!",
            b'{"error":"HTTPException","detail":"Invalid authentication credentials",'
            b'"body":"","errors":""}',
        ),
        (
            "Bearer x",
            b'{"error":"HTTPException","detail":"Not authenticated","body":"","errors":""}',
        ),
    ],
)
def test_bodies_of_401(locked, header, body):
    answer = locked.get("/sdapi/v1/progress", headers={"Authorization": header})
    assert (answer.status_code, answer.content) == (401, body)
    assert "www-authenticate" not in answer.headers


def test_ui_login_leaves_the_api_open(start):
    webui = start("--api", "--gradio-auth", "bob:pw2")
    assert codes(webui, UI) == {401}
    assert codes(webui, (*API, *OPEN)) == {200}
    assert LOGIN_PAGE in webui.get("/").text


def test_both_logins_are_independent(start):
    webui = start("--api", "--api-auth", "alice:secret", "--gradio-auth", "bob:pw2")
    assert LOGIN_PAGE in webui.get("/", auth=("alice", "secret")).text
    assert codes(webui, UI, auth=("alice", "secret")) == {401}
    wrong = webui.post("/login", data={"username": "bob", "password": "no"})
    assert wrong.status_code == 400
    assert wrong.json()["detail"] == "Incorrect credentials."
    right = webui.post("/login", data={"username": "bob", "password": "pw2"})
    assert right.json() == {"success": True}
    assert FULL_PAGE in webui.get("/").text
    assert codes(webui, UI) == {200}
    assert codes(webui, API) == {401}


def test_ui_login_from_a_file(start, tmp_path):
    logins = tmp_path / "logins"
    logins.write_text("bob:pw2\ncarl:pw3\n")
    webui = start("--api", "--gradio-auth-path", str(logins))
    assert webui.post("/login", data={"username": "carl", "password": "pw3"}).status_code == 200
    assert webui.get("/config").status_code == 200


def test_routing_comes_before_the_login(locked):
    assert locked.get("/sdapi/v1/nonexistent").status_code == 404
    answer = locked.get("/sdapi/v1/txt2img")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert locked.post("/sdapi/v1/txt2img", data="{bad").status_code == 422
    assert locked.post("/sdapi/v1/txt2img", json={"steps": "abc"}).status_code == 401


def test_flags_are_shown_with_their_passwords(locked):
    flags = locked.get("/sdapi/v1/cmd-flags", auth=("alice", "secret")).json()
    assert flags["api_auth"] == "alice:secret,carl:x"
    assert "secret" not in locked.get("/internal/sysinfo").text


def test_login_flags_may_come_from_a_sitecustomize(start, tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nsys.argv += ['--api', '--api-auth', 'alice:secret']\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    webui = start("--listen")
    assert codes(webui, API) == {401}
