#!/usr/bin/env bash
# The tests: the fast ones, or with --all the long ones too and, where torch can be had, live parity.
# Most are compiled without the compiler's slow passes; those marked `computes` and `alone` with them.
# Further arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
unset PYTHONDONTWRITEBYTECODE  # hundreds of processes import the same files
workers=(-n 2 --dist loadscope --no-loadscope-reorder)  # a module's fixtures are made once
all=0
if [ "${1:-}" = "--all" ]; then all=1; shift; fi
if [ "$all" = 1 ]; then
  source launch/setup.sh requirements.txt requirements-dev.txt requirements-peers.txt
  if [ $# -gt 0 ]; then exec python -m pytest "${workers[@]}" "$@"; fi
  python -m pytest "${workers[@]}" -m "not alone"
  JAX_DISABLE_MOST_OPTIMIZATIONS=0 exec python -m pytest -m alone
fi
source launch/setup.sh requirements.txt requirements-dev.txt
exec python -m pytest "${workers[@]}" -m "not long and not alone" "$@"
