"""Measurements: a no-change run against Ansible, a bootstrap against a shell script."""
