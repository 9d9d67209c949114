"""The report: whatever results a folder holds, as a small static site that needs no network.

    python -m experiments.report --suite=nano

Seconds; computes nothing but figures. Open report.html in the folder of results.
"""

import sys

from absl import flags

from dynamics import results
from dynamics.questions import Launch, site
from experiments import common

FLAGS = flags.FLAGS


def write(store: results.Store, name: str):
    """Writes the site into the store's folder and prints the path of its overview."""
    if unread := site.unread(store):
        print(f"report: no question reads the results in {', '.join(unread)}", file=sys.stderr)
    launch = Launch(suite=FLAGS.suite, out=FLAGS.out or "")
    print(site.write(store, name, store.root / "report.html", launch=launch))


def body():
    # A folder of results speaks for itself: its suite need not be at hand.
    name = common.named_suite().name if FLAGS.suite.endswith(".toml") else FLAGS.suite
    write(results.Store(common.out_folder(name)), name)


if __name__ == "__main__":
    common.main(body)
