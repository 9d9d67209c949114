#!/usr/bin/env bash
# An array job on a Slurm cluster: each task takes its share of the work units and can be killed at any point.
#
#   sbatch --array=0-7 launch/slurm.sh --suite=polypythia --weights=/shared/weights --out=/shared/results
#
# /shared stands for a file system that every node sees. Afterwards, on any node:
#   python -m experiments.report --suite=polypythia --out=/shared/results
#SBATCH --job-name=dynamics
#SBATCH --gpus-per-task=1
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --signal=TERM@120
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:-$(dirname "$0")/..}"
source .venv/bin/activate
exec python -m experiments.demo --shard="${SLURM_ARRAY_TASK_ID:?run me with sbatch --array}/${SLURM_ARRAY_TASK_COUNT:?}" "$@"
