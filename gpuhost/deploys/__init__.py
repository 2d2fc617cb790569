"""The stages of a host's life."""
