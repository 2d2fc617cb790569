"""Scripts for apt, dnf and zypper. Each is one transaction and can be run again after a kill."""

import shlex

from gpuhost.actions import Packages

APT = "apt-get -o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-confold"


def script(action: Packages, family: str) -> str:
    """:param family: "debian", "rhel" or "suse" """
    return {"debian": _apt, "rhel": _dnf, "suse": _zypper}[family](action)


def _apt(action: Packages) -> str:
    words = [*action.install, *(f"{name}-" for name in action.remove)]
    return f"""export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
set -e
dpkg --configure -a --force-confold
if [ ! -e /etc/ssl/certs/ca-certificates.crt ]; then
  {APT} update || true
  {APT} install --yes --no-install-recommends ca-certificates
fi
{APT} update || echo "some package sources could not be read; see above"
{APT} install --yes --no-install-recommends --allow-downgrades {shlex.join(words)}
"""


def _dnf(action: Packages) -> str:
    lines = ["export LC_ALL=C.UTF-8", "set -e"]
    if action.rpm_repository:
        url = shlex.quote(action.rpm_repository)
        lines += [
            "dnf config-manager --help >/dev/null 2>&1"
            " || dnf install -y 'dnf-command(config-manager)'",
            f"dnf config-manager addrepo --overwrite --from-repofile={url}"
            f" || dnf config-manager --add-repo {url}",
        ]
    if action.remove:
        lines.append(f"dnf remove -y {shlex.join(action.remove)}")
    lines.append(f"dnf install -y --allowerasing {shlex.join(_dashed(action.install))}")
    return "\n".join(lines) + "\n"


def _zypper(action: Packages) -> str:
    lines = ["export LC_ALL=C.UTF-8", "set -e"]
    if action.rpm_repository:
        alias = action.rpm_repository.rpartition("/")[2].removesuffix(".repo")
        url = shlex.quote(action.rpm_repository)
        lines += [
            f"zypper repos {shlex.quote(alias)} >/dev/null 2>&1"
            f" || zypper --non-interactive addrepo {url}",
            "zypper --non-interactive --gpg-auto-import-keys refresh",
        ]
    if action.remove:
        lines.append(f"zypper --non-interactive remove {shlex.join(action.remove)}")
    names = shlex.join(_dashed(action.install))
    lines.append(f"zypper --non-interactive install --no-recommends --oldpackage {names}")
    return "\n".join(lines) + "\n"


def _dashed(names: tuple[str, ...]) -> list[str]:
    return [name.replace("=", "-", 1) for name in names]
