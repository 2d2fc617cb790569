"""POST /sdapi/v1/txt2img: fields and their defaults, the picture, the info text."""

from __future__ import annotations

import base64
import json
import secrets
import time
from typing import TYPE_CHECKING, Any

from standin.errors import HTTPError, no_integer
from standin.model import Checkpoint
from standin.picture import png

if TYPE_CHECKING:
    from standin.webui import WebUI

INTEGERS = {"steps": 50, "width": 512, "height": 512, "batch_size": 1, "n_iter": 1, "seed": -1}
DEFAULTS: dict[str, Any] = {
    "prompt": "",
    "negative_prompt": "",
    "styles": None,
    **INTEGERS,
    "subseed": -1,
    "subseed_strength": 0,
    "seed_resize_from_h": -1,
    "seed_resize_from_w": -1,
    "sampler_name": None,
    "scheduler": None,
    "cfg_scale": 7.0,
    "restore_faces": None,
    "tiling": None,
    "do_not_save_samples": False,
    "do_not_save_grid": False,
    "eta": None,
    "denoising_strength": None,
    "override_settings": None,
    "override_settings_restore_afterwards": True,
    "enable_hr": False,
    "sampler_index": "Euler",
    "script_name": None,
    "script_args": [],
    "send_images": True,
    "save_images": False,
    "alwayson_scripts": {},
    "infotext": None,
}


def txt2img(webui: WebUI, body: Any) -> dict[str, Any]:
    """Make the pictures that the request asks for; blocks while the model loads or a job runs."""
    request = _filled(body)
    if request["script_name"]:
        raise HTTPError(422, f"Script '{request['script_name']}' not found")
    model = webui.model.need()
    if request["seed"] == -1:
        request["seed"] = secrets.randbelow(2**32)
    with webui.jobs.turn("txt2img", request["n_iter"]):
        images, texts = _batches(webui, request, model)
    (webui.data / "params.txt").write_text(texts[0])
    if request["save_images"]:
        _save(webui, images, request["seed"])
    return {
        "images": [base64.b64encode(image).decode() for image in images],
        "parameters": request,
        "info": json.dumps(_info(request, model, texts)),
    }


def _filled(body: Any) -> dict[str, Any]:
    given = {name: value for name, value in dict(body or {}).items() if name in DEFAULTS}
    for name in INTEGERS:
        try:
            given[name] = int(given.get(name, DEFAULTS[name]))
        except (TypeError, ValueError):
            raise no_integer(name) from None
    return {**DEFAULTS, **given}


def _batches(
    webui: WebUI, request: dict[str, Any], model: Checkpoint
) -> tuple[list[bytes], list[str]]:
    1 // request["steps"]
    width, height = request["width"] // 8 * 8, request["height"] // 8 * 8
    if width <= 0 or height <= 0:
        raise RuntimeError("Calculated padded input size per channel: (10 x 2)")
    images: list[bytes] = []
    texts: list[str] = []
    for batch in range(request["n_iter"]):
        webui.jobs.sample(batch, request["n_iter"], request["steps"])
        for _ in range(request["batch_size"]):
            seed = request["seed"] + len(images)
            texts.append(_infotext(request, model, seed))
            images.append(png(width, height, seed, texts[-1]))
        if webui.jobs.state.interrupted:
            break
    return images, texts


def _infotext(request: dict[str, Any], model: Checkpoint, seed: int) -> str:
    lines = [request["prompt"]]
    if request["negative_prompt"]:
        lines.append(f"Negative prompt: {request['negative_prompt']}")
    sampler = request["sampler_name"] or request["sampler_index"]
    lines.append(
        f"Steps: {request['steps']}, Sampler: {sampler}, Schedule type: Automatic, "
        f"CFG scale: {request['cfg_scale']}, Seed: {seed}, "
        f"Size: {request['width']}x{request['height']}, Model hash: {model.sha256[:10]}, "
        f"Model: {model.path.stem}, Version: v1.10.1"
    )
    return "\n".join(lines)


def _info(request: dict[str, Any], model: Checkpoint, texts: list[str]) -> dict[str, Any]:
    count = len(texts)
    copied = ("prompt", "negative_prompt", "seed", "width", "height", "cfg_scale", "steps")
    return {
        **{name: request[name] for name in (*copied, "batch_size", "sampler_name")},
        "all_prompts": [request["prompt"]] * count,
        "all_negative_prompts": [request["negative_prompt"]] * count,
        "all_seeds": [request["seed"] + index for index in range(count)],
        "sd_model_name": model.path.stem,
        "sd_model_hash": model.sha256[:10],
        "infotexts": texts,
        "job_timestamp": time.strftime("%Y%m%d%H%M%S"),
        "version": "v1.10.1",
    }


def _save(webui: WebUI, images: list[bytes], seed: int) -> None:
    folder = webui.data / "outputs" / "txt2img-images" / time.strftime("%Y-%m-%d")
    folder.mkdir(parents=True, exist_ok=True)
    first = len(list(folder.glob("*.png")))
    for index, image in enumerate(images):
        (folder / f"{first + index:05}-{seed + index}.png").write_bytes(image)
