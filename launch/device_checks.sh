#!/usr/bin/env bash
# How fast the project is on the accelerator of this machine: no network, nothing installed, at most eight minutes.
#
#   ./launch/device_checks.sh --wheels=device_wheels            # on a machine with an accelerator
#   ./launch/device_checks.sh --dry                             # the same at toy size, on a CPU
#   python -m benchmarks.device.table results/device_checks.json
#
# The wheels are those of launch/device_wheels.sh: of packages that the machine lacks, for the time of the run. It uses
# the Python that PYTHON names, else .venv's, else python3; further arguments (--out=FILE) go to benchmarks.device.
set -euo pipefail
cd "$(dirname "$0")/.."
python="${PYTHON:-python3}"
if [ -z "${PYTHON:-}" ] && [ -x .venv/bin/python ]; then python=.venv/bin/python; fi

wheels=""
arguments=()
for argument in "$@"; do
  case "$argument" in
    --wheels=*) wheels="${argument#--wheels=}" ;;
    *) arguments+=("$argument") ;;
  esac
done

export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
if [ -n "$wheels" ]; then
  lacking="$("$python" -m benchmarks.device.wheels "$wheels")"
  if [ -n "$lacking" ]; then
    mapfile -t paths <<< "$lacking"
    packages="$(mktemp -d)"
    trap 'rm -rf "$packages"' EXIT
    install() {
      "$python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps --no-compile --no-cache-dir \
        --target "$packages" "$@" > /dev/null 2>&1
    }
    # One call is faster, but installs nothing where a single wheel does not fit this Python.
    install "${paths[@]}" || for path in "${paths[@]}"; do
      install "$path" || echo "not installed: $path" >&2
    done
    PYTHONPATH="$PYTHONPATH:$packages"
  fi
fi
"$python" -m benchmarks.device ${arguments[@]+"${arguments[@]}"}
