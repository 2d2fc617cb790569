"""What runs inside the WebUI's container. Standard library only, Python 3.9 or newer."""
