#!/usr/bin/env bash
# A folder of wheels for launch/device_checks.sh: what the peers and we need beyond JAX, torch, transformers and their
# like, for a machine without a network. Made anew each time; say for which Python it is, by default 3.12.
#
#   ./launch/device_wheels.sh [FOLDER] [PYTHON_VERSION]
set -euo pipefail
cd "$(dirname "$0")/.."
python="${PYTHON:-python3}"
if [ -z "${PYTHON:-}" ] && [ -x .venv/bin/python ]; then python=.venv/bin/python; fi
folder="${1:-device_wheels}"
version="${2:-3.12}"

platforms=()
for platform in manylinux_2_28_x86_64 manylinux_2_17_x86_64 manylinux2014_x86_64; do
  platforms+=(--platform "$platform")
done
mkdir -p "$folder"
rm -f "$folder"/*.whl
# Without their needs: what is not on the list is there, or is JAX, torch and gigabytes.
"$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
  --implementation cp --python-version "$version" "${platforms[@]}" \
  --dest "$folder" --requirement launch/device_wheels.txt
echo "$(ls "$folder"/*.whl | wc -l) wheels for Python $version in $folder, $(du -sh "$folder" | cut -f1)"
