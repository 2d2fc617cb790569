"""The program that runs on a host: the switch, which moves an instance between releases.

Standard library only, Python 3.9 or newer: it is installed as one zip file and runs in a systemd
unit of its own, so that nothing that happens to the machine that runs pyinfra can interrupt it.
"""
