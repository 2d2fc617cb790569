"""The place of what runs on a host by itself: the switch from one release to another.

Empty as yet: today `deploy.py` starts a release and proves it, and cannot go back.
"""
