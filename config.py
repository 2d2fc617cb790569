"""pyinfra's own settings for this project, read before anything else."""

from gpuhost import startup

startup.check_settings_before_connecting()
startup.check_host_keys_strictly()
startup.send_small_packets_at_once()
startup.ask_only_on_a_terminal()
