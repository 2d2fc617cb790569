"""Pictures and jobs of the WebUI stand-in: PNG, error shapes, queue, progress, interrupt."""

from __future__ import annotations

import base64
import json
import struct
import threading
import zlib

import pytest

from tests.standins.conftest import wait


def chunks(png: bytes) -> dict[bytes, bytes]:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    found, at = {}, 8
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        data = png[at + 8 : at + 8 + length]
        assert zlib.crc32(kind + data) == struct.unpack_from(">I", png, at + 8 + length)[0]
        found[kind] = data
        at += 12 + length
    return found


def test_picture_is_a_real_png(plain):
    answer = plain.picture(prompt="a red cube", width=65, height=71, n_iter=2, steps=3).json()
    assert len(answer["images"]) == 2
    png = chunks(base64.b64decode(answer["images"][0]))
    assert struct.unpack(">IIBBBBB", png[b"IHDR"]) == (64, 64, 8, 2, 0, 0, 0)
    assert len(zlib.decompress(png[b"IDAT"])) == 64 * (64 * 3 + 1)
    assert png[b"tEXt"].startswith(b"parameters\0a red cube\nSteps: 3, Sampler: Euler")
    assert b"Size: 65x71" in png[b"tEXt"]
    info = json.loads(answer["info"])
    assert info["all_seeds"] == [42, 43]
    assert answer["parameters"]["cfg_scale"] == 7.0


def test_saving_is_off_by_default(start):
    webui = start()
    webui.picture()
    assert not (webui.data / "outputs").exists()
    webui.picture(save_images=True)
    assert [path.name for path in webui.data.glob("outputs/*/*/*.png")] == ["00000-42.png"]


@pytest.mark.parametrize(
    ("body", "status", "shape"),
    [
        (
            b'{"steps":"abc"}',
            422,
            {
                "detail": [
                    {
                        "loc": ["body", "steps"],
                        "msg": "value is not a valid integer",
                        "type": "type_error.integer",
                    }
                ]
            },
        ),
        (
            b"",
            422,
            {"detail": [{"loc": ["body"], "msg": "field required", "type": "value_error.missing"}]},
        ),
        (
            b'{"script_name":"nope"}',
            422,
            {
                "error": "HTTPException",
                "detail": "Script 'nope' not found",
                "body": "",
                "errors": "",
            },
        ),
        (
            b'{"steps":0}',
            500,
            {
                "error": "ZeroDivisionError",
                "detail": "",
                "body": "",
                "errors": "integer division or modulo by zero",
            },
        ),
    ],
)
def test_error_shapes(plain, body, status, shape):
    answer = plain.post("/sdapi/v1/txt2img", data=body)
    assert (answer.status_code, answer.json()) == (status, shape)


def test_broken_json_says_where(plain):
    detail = plain.post("/sdapi/v1/txt2img", data="{bad").json()["detail"][0]
    assert detail["loc"] == ["body", 1]
    assert detail["type"] == "value_error.jsondecode"
    assert detail["ctx"]["colno"] == 2


def test_unhandled_error_is_logged(plain):
    plain.post("/sdapi/v1/txt2img", json={"steps": 0})
    plain.until(f"*** API error: POST: http://127.0.0.1:{plain.port}/sdapi/v1/txt2img {{'error'")


def test_unknown_option_and_unknown_model(plain):
    answer = plain.post("/sdapi/v1/options", json={"no_such_option": 1})
    assert (answer.status_code, answer.json()["errors"]) == (500, "'no_such_option'")
    answer = plain.post("/sdapi/v1/options", json={"sd_model_checkpoint": "nope"})
    assert answer.json()["errors"] == "model 'nope' not found"


def test_jobs_run_one_at_a_time(start):
    webui = start(step_seconds=0.05)
    first = threading.Thread(target=webui.picture, kwargs={"steps": 30})
    first.start()
    wait(webui.job_is_running)
    assert webui.get("/internal/pending-tasks").json() == {"size": 0, "tasks": []}
    second = threading.Thread(target=webui.picture)
    second.start()
    wait(lambda: webui.get("/internal/pending-tasks").json()["size"] == 1)
    state = webui.get("/sdapi/v1/progress").json()
    assert state["state"]["job"] == "scripts_txt2img"
    assert 0 < state["progress"] < 1
    assert webui.get("/queue/status").json()["queue_size"] == 0
    first.join()
    second.join()
    assert not webui.job_is_running()


def test_interrupt_ends_the_job_and_still_answers(start):
    webui = start(step_seconds=0.05)
    answers = []
    job = threading.Thread(target=lambda: answers.append(webui.picture(steps=100)))
    job.start()
    wait(webui.job_is_running)
    assert webui.post("/sdapi/v1/interrupt").json() == {}
    job.join(5)
    assert answers[0].status_code == 200
    assert len(answers[0].json()["images"]) == 1
    assert webui.get("/sdapi/v1/progress").json()["state"]["interrupted"] is True


def test_idle_progress(start):
    assert start().get("/sdapi/v1/progress?skip_current_image=true").text == (
        '{"progress":0.0,"eta_relative":0.0,"state":{"skipped":false,"interrupted":false,'
        '"stopping_generation":false,"job":"","job_count":0,"job_timestamp":"0","job_no":0,'
        '"sampling_step":0,"sampling_steps":0},"current_image":null,"textinfo":null}'
    )


def test_long_answers_are_compressed_when_asked(plain):
    assert plain.get("/").headers["content-encoding"] == "gzip"
    whole = plain.get("/", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in whole.headers
    head = plain.http.head(plain.url + "/", headers={"Accept-Encoding": "identity"})
    assert (head.status_code, int(head.headers["content-length"])) == (200, len(whole.content))
