#!/usr/bin/env bash
# The main job on this machine: sets up .venv on first use, runs it, prints the report's path.
# Arguments go to the job, e.g. ./launch/local.sh --suite=smoke
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/setup.sh requirements.txt
exec python -m experiments.demo "$@"
