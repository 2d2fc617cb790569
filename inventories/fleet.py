"""A fleet, as an example: copy it, write your own hosts, keep only what differs.

Settings of all hosts of a group stand beside the list, settings of one host beside its name.
"""

studio = (
    [
        "gpu-1.example.net",
        "gpu-2.example.net",
        ("gpu-3.example.net", {"webui_instances": [
            {"name": "left", "gpus": [0], "port": 7860, "flags": "--xformers --api"},
            {"name": "right", "gpus": [1], "port": 7861, "flags": "--xformers --api"},
        ]}),
    ],
    {
        "ssh_user": "admin",
        "_sudo": True,
        "webui_address": "0.0.0.0",
        "webui_user": "studio",
        "webui_password_env": "GPUHOST_WEBUI_PASSWORD",
    },
)  # fmt: skip
