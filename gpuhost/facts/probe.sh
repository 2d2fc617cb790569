export LC_ALL=C TZ=UTC PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
work=$(mktemp -d) || exit 1
trap "rm -rf $work" EXIT

bound() { timeout -k 1 "$@"; }

part() {
  section=$1; shift
  "$@" >"$work/$section.out" 2>"$work/$section.err" </dev/null
  echo $? >"$work/$section.rc"
}

have() { command -v "$1" >/dev/null 2>&1; }

system() {
  uname -m; uname -r; cat /proc/1/comm; date +%s.%N
  [ -e /run/reboot-required ] || [ -e /var/run/reboot-required ] && echo reboot-required || echo -
  cat /etc/os-release
}

pci() {
  for vendor in $(grep -ls 0x10de /sys/bus/pci/devices/*/vendor); do
    device=${vendor%/vendor}
    case $(cat "$device/class") in 0x0300*|0x0302*) ;; *) continue ;; esac
    driver=$(readlink "$device/driver" 2>/dev/null)
    printf "%s %s %s\n" "${device##*/}" "$(cat "$device/device")" "${driver##*/}"
  done
}

special() {
  [ -e /dev/dxg ] || [ -e /usr/lib/wsl/lib/nvidia-smi ] && echo wsl
  [ -e /etc/nv_tegra_release ] && echo jetson
  grep -qs "nvidia,tegra" /proc/device-tree/compatible && echo jetson
  [ -e /sys/module/nouveau ] && echo nouveau
  [ -e /usr/bin/nvidia-uninstall ] && echo runfile
  have nvidia-smi && echo smi
  sed -n "s/^NVRM version:.*Kernel Module[^0-9]*\([0-9.]*\).*/loaded \1/p" /proc/driver/nvidia/version 2>/dev/null
  have python3 && python3 --version 2>/dev/null
  have mokutil && mokutil --sb-state 2>/dev/null | grep -q enabled && echo secure-boot
  :
}

packages() {
  if have dpkg-query; then
    dpkg-query -W -f "\${Package} \${Version} \${db:Status-Abbrev}\n" "docker*" containerd containerd.io runc podman-docker "nvidia-container-*" "libnvidia-container*" "nvidia-driver*" "nvidia-headless-*" nvidia-docker2 2>/dev/null
  elif have rpm; then
    rpm -qa --qf "%{NAME} %{VERSION}-%{RELEASE} ii\n" "docker*" containerd containerd.io runc podman-docker "nvidia-container-*" "libnvidia-container*" "nvidia-driver*" "nvidia-open*" "kmod-nvidia*" "akmod-nvidia*" "moby-engine*"
  fi
  :
}

sources() {
  for word in $SOURCE_WORDS; do
    bound 5 grep -lsF "$word" /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources /etc/yum.repos.d/*.repo /etc/zypp/repos.d/*.repo | sed "s|^|$word |"
  done
  :
}

files() {
  [ -n "$FILES" ] || return 0
  {
    stat -c "itself %F|%a %u:%g %n" $FILES
    stat -L -c "target %F|%a %u:%g %n" $FILES
  } 2>/dev/null | awk -F "|" "{
    n = split(\$2, word, \" \"); path = word[n]
    kind = \$1 ~ /symbolic/ ? \"symlink\" : \$1 ~ /regular/ ? \"file\" : \$1 ~ /directory/ ? \"directory\" : \"other\"
    if (\$1 ~ /^target/) { if (path in link) print \"symlink\", \$2; delete link[path] }
    else if (kind == \"symlink\") link[path] = \$2
    else print kind, \$2
  } END { for (path in link) print \"symlink\", link[path] }"
}

contents() {
  for path in $CONTENTS; do
    [ -f "$path" ] && printf "%s %s\n" "$path" "$(base64 -w0 "$path")"
  done
  :
}

engine() {
  path=$(command -v docker) && printf "cli %s\n" "$(readlink -f "$path")"
  [ -n "$path" ] && [ "$(head -c 2 "$path")" = "#!" ] && bound 15 docker --version 2>/dev/null | sed "s/^/version /"
  [ -e /snap/bin/docker ] && echo snap
  [ -S /var/run/docker.sock ] && echo socket
  since=$(systemctl show docker.service -p ActiveEnterTimestamp --value 2>/dev/null)
  [ -n "$since" ] && date -d "$since" "+started %s"
  systemctl show docker.service -p ActiveState -p ExecStart 2>/dev/null
  :
}

hooks() {
  for name in nvidia-container-runtime-hook nvidia-cdi-hook; do
    path=$(command -v $name) && printf "hook %s\n" "$(stat -L -c %Z "$path")"
  done
  have nvidia-ctk && bound 15 nvidia-ctk cdi list 2>/dev/null | sed "s/^/device /"
  cat /var/run/cdi/nvidia.yaml /etc/cdi/nvidia.yaml 2>/dev/null | sed -n "s/.*--host-driver-version=\([0-9.]*\).*/driver \1/p; s/.*libcuda\.so\.\([0-9][0-9.]*\).*/driver \1/p" | sort -u
  :
}

containers() {
  listed=$(bound 15 docker ps -a --no-trunc --filter label=org.gpuhost.instance --format "{{.ID}} {{.State}} {{.Names}}")
  ours=$(printf "%s\n" "$listed" | cut -d " " -f 1)
  [ -n "$CONTAINERS$ours" ] || return 0
  bound 15 docker container inspect --format "{\"name\":{{json .Name}},\"status\":{{json .State.Status}},\"health\":{{if .State.Health}}{{json .State.Health.Status}}{{else}}\"\"{{end}},\"image\":{{json .Config.Image}},\"labels\":{{json .Config.Labels}},\"exit\":{{.State.ExitCode}},\"error\":{{json .State.Error}}}" $CONTAINERS $ours 2>/dev/null
  for name in $(printf "%s\n" "$listed" | sed -n "s/^[^ ]* running //p"); do
    seen=$(bound 20 docker exec "$name" nvidia-smi -L 2>&1); code=$?
    printf "%s\n" "$seen" | sed "s/^/gpu $name $code /"
  done
  :
}

images() {
  set --
  for repository in $REPOSITORIES; do set -- "$@" --filter "reference=$repository"; done
  [ $# -gt 0 ] && bound 15 docker image ls --digests --no-trunc --format "{{.Repository}}@{{.Digest}}" "$@" 2>/dev/null
  :
}

disks() {
  root=$(sed -n "s/.*\"data-root\"[^\"]*\"\([^\"]*\)\".*/\1/p" /etc/docker/daemon.json 2>/dev/null)
  for path in $DISKS $root; do
    near=$path
    while [ ! -e "$near" ]; do near=$(dirname "$near"); done
    printf "%s %s\n" "$path" "$(df -PB1 "$near" | awk "NR == 2 { print \$6, \$4, \$2 }")"
  done
}

ports() { awk "\$4 == \"0A\" { print \$2 }" /proc/net/tcp /proc/net/tcp6 2>/dev/null; :; }

units() { systemctl list-units --no-legend --plain --state=activating,active "gpuhost-job-*" "gpuhost-switch@*" 2>/dev/null | awk "{ print \$1 }"; :; }

smi_query="index,uuid,name,driver_version,compute_cap,memory.total,mig.mode.current"

if have nvidia-smi; then
  part smi bound 20 nvidia-smi --query-gpu=$smi_query --format=csv,noheader,nounits &
  part listing bound 20 nvidia-smi -L &
fi
if have docker; then
  part info bound 15 docker info --format "{{json .}}" &
  part containers containers &
  part images images &
fi
part hooks hooks &
part engine engine &
for name in system pci special packages sources files contents disks ports units; do part $name $name; done
[ -n "$FILES" ] && part sums bound 20 sha256sum $FILES
wait
cd "$work" && for file in *.rc; do
  name=${file%.rc}
  echo "@ $name $(cat "$file")"
  awk "{ print \"| \" \$0 }" "$name.out"
  awk "{ print \"! \" \$0 }" "$name.err"
done
