"""A small server that behaves as stable-diffusion-webui v1.10.1 was seen to."""
