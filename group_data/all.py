# Every setting, with the value used unless a group or a host says otherwise.
# gpuhost/settings.py says what is valid; other files in this folder hold only differences.

# Docker Engine
engine_source = "docker"  # "docker": Docker's repository; "distro": the distribution's; "present": leave alone
engine_version = ""  # such as "28.5.2"; empty takes the newest when it is first installed
engine_replace = False  # remove packages that conflict with the chosen source (stops their containers)
engine_live_restore = True  # containers keep running while the engine restarts
engine_registry_mirrors = []  # such as ["https://mirror.example"], for Docker Hub's images
engine_options = {}  # further keys to merge into /etc/docker/daemon.json
engine_apt_url = "https://download.docker.com/linux/{distribution}"  # Docker's apt repository
engine_apt_key = "https://download.docker.com/linux/debian/gpg"  # its key, a URL or a local path
engine_apt_fingerprint = "9DC858229FC7DD38854AE2D88D81803C0EBFCD88"  # the only key accepted
engine_rpm_url = "https://download.docker.com/linux/{distribution}/$releasever/$basearch/stable"  # for dnf
engine_rpm_key = "https://download.docker.com/linux/centos/gpg"  # its key, a URL or a local path
engine_rpm_fingerprint = "060A61C51B558A7F742B77AAC52FEB6B621E9F35"  # the only key accepted

# NVIDIA driver
driver_manage = False  # install the distribution's packaged driver where there is none
driver_reboot = False  # reboot when a driver was installed (never this machine itself)
driver_apt_url = ""  # Debian mirror with non-free, if the host's own sources have none
driver_apt_keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"  # on the host; signs it
driver_packages = []  # empty takes the distribution's own names

# NVIDIA Container Toolkit
toolkit_version = "1.20.0-1"  # all four packages, pinned; 1.19.1-1 or newer
toolkit_gpu_access = "auto"  # "cdi", "hook", or "auto": CDI where engine and toolkit allow it
toolkit_probe_image = "docker.io/library/debian:trixie-slim"  # small glibc image for the GPU proof
toolkit_apt_url = "https://nvidia.github.io/libnvidia-container/stable/deb"  # NVIDIA's repository
toolkit_apt_key = "https://nvidia.github.io/libnvidia-container/gpgkey"  # its key for deb and rpm, a URL or a path
toolkit_apt_fingerprint = "C95B321B61E88C1809C4F759DDCAE044F796ECB0"  # the only key accepted
toolkit_rpm_url = "https://nvidia.github.io/libnvidia-container/stable/rpm/$basearch"  # for dnf, zypper

# Image
image_reference = "docker.io/yanwk/sd-webui-base:nightly"  # a tag or a digest, never neither
image_cuda = ""  # CUDA release inside, such as "12.1", where the image's labels do not say
image_arch_list = ""  # GPU architectures inside, such as "7.5;8.6;8.9", where labels do not say
image_unpack_ratio = 3.0  # bytes on disk per compressed byte, for the disk check
image_reserve_gb = 10  # free space to leave where images live
image_registry_endpoint = ""  # where this machine reaches the registry, if not by the image's name
image_registry_user = ""  # login at the registry; empty for none
image_registry_password_env = ""  # environment variable here that holds its password
image_registry_password_file = ""  # or a file here, mode 0600
image_registry_ca = ""  # CA certificate of a private registry, a file here
image_stale_days = 60  # an image built longer ago is reported as stale; 0 never

# WebUI
webui_instances = [  # one running WebUI each
    {"name": "webui", "gpus": "all", "port": 7860, "flags": "--xformers --medvram --api"},
]
webui_address = "127.0.0.1"  # where ports are published; another address needs a login
webui_insecure = False  # allow other addresses without a login
webui_user = ""  # login for pages and API; empty for none
webui_password_env = ""  # environment variable here that holds its password
webui_password_file = ""  # or a file here, mode 0600
webui_environment = {}  # further variables for the container
webui_shm_size = "2g"  # shared memory of the container
webui_stop_timeout = 30  # seconds to stop before it is killed
webui_log_size = "10m"  # size at which the container's log is rotated
webui_log_files = 3  # rotated logs to keep

# Storage
storage_path = "/srv/gpuhost"  # each instance keeps models, pictures and settings in a folder below
storage_uid = 1000  # who owns it: the user inside the image
storage_gid = 1000  # and the group
storage_reserve_gb = 10  # free space to leave where storage lives

# Gates: what proves a release
gate_start_timeout = 1800  # seconds until the WebUI must answer (a first start downloads much)
gate_gpu = True  # the WebUI itself must see a GPU
gate_picture = True  # one small picture must come out
gate_picture_timeout = 600  # seconds for it, loading the model included
gate_bake = 20  # seconds it must stay healthy at the end
gate_slowdown = 0.0  # such as 0.25: fail where pictures take so much longer than before; 0 never measures

# Updates: when a running WebUI may be stopped
drain_timeout = 600  # seconds to wait until it has no job
drain_on_timeout = "skip"  # "skip": leave it and try at the next run; "force": stop it all the same

# Prune: what `gpuhost.tasks.prune` leaves
prune_keep = 2  # proven releases of each instance, the running one included
prune_keep_failed_days = 7  # days that a failed release's container and image are kept
prune_pinned = []  # digests that are always kept
prune_build_cache_gb = 0  # size to which the engine's build cache is cut; 0 leaves it alone

# The cycle: update and prune by night, from the machine that runs pyinfra
cycle_schedule = ""  # such as "*-*-* 04:00" (systemd calendar); empty for none
cycle_delay = "30min"  # random delay, so that not everybody asks the registry at once
cycle_notify = ""  # a URL or a command that gets the verdict as JSON
