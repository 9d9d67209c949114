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
#SBATCH --signal=B:TERM@120
# B: the signal goes to this shell, which `exec` below turns into the job itself; two minutes before the end it stops
# after what is committed, and the same command goes on from there.
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:-$(dirname "$0")/..}"
source .venv/bin/activate
exec python -m experiments.demo --shard="${SLURM_ARRAY_TASK_ID:?run me with sbatch --array}/${SLURM_ARRAY_TASK_COUNT:?}" "$@"
