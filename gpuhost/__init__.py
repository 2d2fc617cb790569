"""From a bare Linux with an NVIDIA GPU to a proven Stable Diffusion WebUI."""
