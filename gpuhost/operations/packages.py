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
    lines = _rpm_start(action)
    if action.remove:
        lines.append(f"dnf remove -y {shlex.join(action.remove)}")
    lines.append(f"dnf install -y --allowerasing {shlex.join(_dashed(action.install))}")
    return "\n".join(lines) + "\n"


def _zypper(action: Packages) -> str:
    lines = _rpm_start(action)
    if action.rpm_key:
        lines.append(
            "zypper --non-interactive refresh"
            ' || echo "some package sources could not be read; see above"'
        )
    if action.remove:
        lines.append(f"zypper --non-interactive remove {shlex.join(action.remove)}")
    names = shlex.join(_dashed(action.install))
    lines.append(f"zypper --non-interactive install --no-recommends --oldpackage {names}")
    return "\n".join(lines) + "\n"


def _rpm_start(action: Packages) -> list[str]:
    key = [f"rpm --import {shlex.quote(action.rpm_key)}"] if action.rpm_key else []
    return ["export LC_ALL=C.UTF-8", "set -e", *key]


def _dashed(names: tuple[str, ...]) -> list[str]:
    return [name.replace("=", "-", 1) for name in names]
