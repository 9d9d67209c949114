"""One script per question: flags and a loop, nothing else."""

import sys

from experiments import endings

# Python calls a module's own name "-m" until it has found what `python -m experiments.NAME` names.
# Only such a script is ended by signals from its first import on; a program that imports these
# modules keeps its own ways.
if sys.argv[:1] == ["-m"]:
    endings.prepare_streams()
    endings.catch_signals()
