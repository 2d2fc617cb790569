#!/bin/bash
# As upstream's: no exec, CLI_ARGS unquoted, a first start that fills the storage folder.
set -eu

webui=/home/runner/stable-diffusion-webui
models=$webui/models/Stable-diffusion
if [ ! -d "$models" ]; then
    mkdir -p "$models"
    cp /home/runner-app/tiny.safetensors "$models/"
fi
cd "$webui"

seconds=$({ echo "${WEBUI_FAULTS:-}"; cat /home/runner/.faults.json 2>/dev/null || :; } |
    sed -n 's/.*"slow_stop": *\([0-9.]*\).*/\1/p' | tail -n 1)
if [ -n "$seconds" ]; then
    # shellcheck disable=SC2086
    python3 /home/runner-app/webui.py --listen --port 7860 ${CLI_ARGS} &
    trap 'sleep "$seconds"; exit 143' TERM INT
    wait $!
    exit
fi
# shellcheck disable=SC2086
python3 /home/runner-app/webui.py --listen --port 7860 ${CLI_ARGS}
