#!/bin/sh
# Make the virtual environment: prepare.sh PYTHON FOLDER. Can be run again after a kill.
set -eu
python=$1 venv=$2

if ! "$python" -c "import ensurepip" 2>/dev/null; then
  echo "Installing python3-venv with apt: this Python cannot make virtual environments without it."
  apt-get -qq update
  DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends python3-venv
fi
echo "Making $venv and installing the packages of requirements.lock into it."
"$python" -m venv --clear "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
