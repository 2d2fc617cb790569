"""The command line: the flags of the real program that a deployer may pass."""

from __future__ import annotations

import argparse
import os

SWITCHES = """
    --add-stop-route --administrator --allow-code --always-batch-cond-uncond --api --api-log
    --api-server-stop --autolaunch --disable-all-extensions --disable-console-progressbars
    --disable-extra-extensions --disable-model-loading-ram-optimization --disable-nan-check
    --disable-opt-split-attention --disable-safe-unpickle --disable-tls-verify
    --do-not-download-clip --enable-console-prompts --enable-insecure-extension-access
    --freeze-settings --gradio-debug --gradio-queue --hide-ui-dir-config --listen --log-startup
    --lowram --lowvram --medvram --medvram-sdxl --no-download-sd-model --no-gradio-queue --no-half
    --no-half-vae --no-hashing --no-progressbar-hiding --no-prompt-history --nowebui
    --opt-channelslast --opt-sdp-attention --opt-sdp-no-mem-attention --opt-split-attention
    --opt-split-attention-invokeai --opt-sub-quad-attention --share --skip-install
    --skip-load-model-at-start --skip-prepare-environment --skip-python-version-check
    --skip-torch-cuda-test --skip-version-check --ui-debug-mode --unload-gfpgan --upcast-sampling
    --update-check --xformers
"""
VALUED = """
    --api-auth --ckpt --ckpt-dir --config --cors-allow-origins --cors-allow-origins-regex
    --data-dir --device-id --embeddings-dir --gradio-auth --gradio-auth-path --loglevel
    --max-batch-count:int --models-dir --ngrok --port:int --precision --server-name --styles-file
    --subpath --theme --timeout-keep-alive:int --tls-certfile --tls-keyfile --ui-config-file
    --ui-settings-file --vae-dir --vae-path
"""


def parse(argv: list[str]) -> argparse.Namespace:
    """Read the flags; an unknown one ends the process with code 2 and a usage text."""
    parser = argparse.ArgumentParser()
    for switch in SWITCHES.split():
        parser.add_argument(switch, action="store_true")
    for flag in VALUED.split():
        name, _, kind = flag.partition(":")
        parser.add_argument(name, type=int if kind else str)
    parser.add_argument("--use-cpu", nargs="+", default=[])
    parser.set_defaults(data_dir=os.getcwd(), precision="autocast", timeout_keep_alive=30)
    return parser.parse_args(argv)


def pairs(text: str | None) -> dict[str, str]:
    """Logins `user:password,user:password` as passwords by user."""
    items = (item.strip().strip('"') for item in (text or "").replace("\n", ",").split(","))
    return dict(item.split(":", 1) for item in items if ":" in item)


def ui_logins(args: argparse.Namespace) -> dict[str, str]:
    """Passwords by user for the pages, of the flag and of the file."""
    logins = pairs(args.gradio_auth)
    if args.gradio_auth_path:
        with open(args.gradio_auth_path, encoding="utf8") as file:
            logins |= pairs(file.read())
    return logins
