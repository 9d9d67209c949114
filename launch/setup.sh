# Sourced by the other scripts: a virtual environment in .venv that holds the given requirements files.
# Does nothing when it already does. PYTHON names the interpreter to build it with (3.11 to 3.13).

PYTHON="${PYTHON:-python3}"
"$PYTHON" - <<'CHECK' || exit 1
import sys
if not (3, 11) <= sys.version_info[:2] <= (3, 13):
    sys.exit(f"error: got Python {sys.version.split()[0]}; expected 3.11 to 3.13. Name one: PYTHON=python3.12 {sys.argv[0]}")
CHECK
[ -x .venv/bin/python ] || "$PYTHON" -m venv .venv
source .venv/bin/activate
for requirements in "$@"; do
  stamp=".venv/.installed-$(basename "$requirements")"
  if ! cmp -s "$requirements" "$stamp"; then
    echo "installing $requirements into .venv" >&2
    python -m pip install --quiet --disable-pip-version-check -r "$requirements"
    cp "$requirements" "$stamp"
  fi
done
if [ ! -e .venv/.installed-package ]; then
  python -m pip install --quiet --disable-pip-version-check --no-deps -e .
  touch .venv/.installed-package
fi
