"""Measurements: against Ansible, a shell script, and other ways to move a WebUI."""
