"""The fault matrix: something goes wrong in the middle of an update, on real hosts of the lab."""
