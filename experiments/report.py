"""The page: whatever results a folder holds, as figures with captions on one self-contained page.

    python -m experiments.report --suite=nano

Seconds; computes nothing but figures.
"""

from absl import flags

from dynamics import results
from dynamics.errors import InputError
from experiments import common

FLAGS = flags.FLAGS


def write(store: results.Store, name: str):
    """Writes report.html, and reading.html where there are passages, into the store's folder and
    prints the paths."""
    from dynamics.report import page, reading

    passages = reading.write(store, name, store.root)
    if passages:
        print(passages)
    print(page.write(store, name, store.root / "report.html"))


def body():
    # A folder of results speaks for itself: its suite need not be at hand.
    name = common.named_suite().name if FLAGS.suite.endswith(".toml") else FLAGS.suite
    root = common.out_folder(name)
    if not any(root.glob("*/*/seed*/step*.nc")):
        raise InputError(
            f"{root} without results",
            expected="a folder that an experiment wrote",
            mend="Check --out.",
        )
    write(results.Store(root), name)


if __name__ == "__main__":
    common.main(body)
