#!/bin/sh
# A bare Debian 12 to a proven WebUI by hand: the commands of Docker's, NVIDIA's and the image's
# instructions, in their order. Usage: sh -s FILES REGISTRY TOOLKIT_VERSION PROBE_IMAGE IMAGE PORT
set -eu
files=$1 registry=$2 toolkit=$3 probe=$4 image=$5 port=$6
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

put() { install -D -o root -g root -m "$2" "$files$1" "$1"; }

apt_install() {
    apt-get -q update
    apt-get -q install --yes --no-install-recommends "$@"
}

echo "== Docker Engine"
put /etc/apt/keyrings/docker.asc 0644
put /etc/apt/sources.list.d/docker.sources 0644
apt_install docker-ce docker-ce-cli containerd.io docker-buildx-plugin docker-compose-plugin \
    python3
systemctl enable --now --quiet docker.service

echo "== NVIDIA Container Toolkit"
put /etc/apt/keyrings/nvidia-container-toolkit.asc 0644
put /etc/apt/sources.list.d/gpuhost-nvidia-container-toolkit.sources 0644
put /etc/apt/preferences.d/gpuhost-nvidia-container-toolkit 0644
apt_install "nvidia-container-toolkit=$toolkit" "nvidia-container-toolkit-base=$toolkit" \
    "libnvidia-container-tools=$toolkit" "libnvidia-container1=$toolkit"
systemctl restart nvidia-cdi-refresh.service

echo "== GPUs for containers"
put /etc/systemd/system/docker.service.d/gpuhost-cdi.conf 0644
put /usr/local/lib/gpuhost/switch.pyz 0644
put /etc/systemd/system/gpuhost-switch@.service 0644
put /etc/systemd/system/gpuhost-start.service 0644
put /etc/docker/daemon.json 0644
dockerd --validate --config-file /etc/docker/daemon.json
systemctl daemon-reload
systemctl enable --now --quiet gpuhost-start.service
systemctl restart docker

echo "== Registry"
install -d -m 0700 /etc/gpuhost/docker
put /etc/gpuhost/docker/config.json 0600
put "/etc/docker/certs.d/$registry/ca.crt" 0644

echo "== GPU proof"
docker --config /etc/gpuhost/docker pull --quiet "$probe"
inside=$(docker run --rm --network none --device nvidia.com/gpu=all "$probe" nvidia-smi -L)
[ "$inside" = "$(nvidia-smi -L)" ]

echo "== WebUI"
docker --config /etc/gpuhost/docker pull --quiet "$image"
install -d -m 0755 /srv/gpuhost
install -d -m 0750 -o 1000 -g 1000 /srv/gpuhost/webui
install -d -m 0700 /etc/gpuhost/instances/webui
put /etc/gpuhost/instances/webui/compose.yaml 0600
docker compose -f /etc/gpuhost/instances/webui/compose.yaml up --detach --pull never

echo "== Gates"
docker exec -i gpuhost-webui python3 -u - answers=90 gpu=60 picture=60 \
    <"$files/gates.py"
bash -c "exec 3<>/dev/tcp/127.0.0.1/$port; printf 'GET /internal/ping HTTP/1.0\r\n\r\n' >&3
    read -r _ code _ <&3; [ \"\$code\" = 200 ]"
for _ in $(seq 60); do
    state=$(docker inspect --format '{{.State.Health.Status}}' gpuhost-webui)
    [ "$state" = healthy ] && exit 0
    sleep 1
done
echo "the container is $state" >&2
exit 1
