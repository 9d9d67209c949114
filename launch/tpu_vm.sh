#!/usr/bin/env bash
# On every host of a TPU slice, each taking its share of the work units with its own chips:
#
#   gcloud compute tpus tpu-vm ssh NAME --worker=all --command "cd dynamics && WORKERS=4 ./launch/tpu_vm.sh --suite=polypythia --weights=DIR --out=DIR"
#
# The folders must be seen by every host (a mounted bucket or a network disk). Install once per host as BUILD.md says.
set -euo pipefail
cd "$(dirname "$0")/.."
source .venv/bin/activate
# One process per host, hosts apart: a slice would otherwise wait for all its hosts to join one program.
export TPU_PROCESS_BOUNDS=1,1,1 CLOUD_TPU_TASK_ID=0
worker="${WORKER:-$(curl -s -H Metadata-Flavor:Google metadata.google.internal/computeMetadata/v1/instance/attributes/agent-worker-number)}"
exec python -m experiments.demo --shard="$worker/${WORKERS:?number of hosts of the slice}" "$@"
