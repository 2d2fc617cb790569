"""This machine. For another one write its name or address instead of "@local"."""

import os

hosts = [
    ("@local", {"_sudo": os.geteuid() != 0}),
]
