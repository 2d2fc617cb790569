"""pyinfra's own settings for this project, read before anything else."""

from gpuhost import startup

startup.check_settings_before_connecting()
startup.check_host_keys_strictly()
startup.send_small_packets_at_once()
startup.draw_progress_ourselves()
startup.interrupt_with_130()
startup.conclude_at_the_end()
startup.end_quickly()
startup.ask_only_on_a_terminal()
