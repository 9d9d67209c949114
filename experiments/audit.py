"""Are a suite's checkpoints what they claim to be? Duplicates, borrowed shards, missing files.

    python -m experiments.audit --suite=pythia --models=2.8b --steps=all
    python -m experiments.audit --suite=nano --read=all

Without --read no weight is read: the hub's own digests are compared, one request for each
repository and, the first time, one for each revision. A local suite's files are hashed. Expect
pythia-2.8b to be convicted at 85 of 154 steps unless its branches have been mended since.
"""

from absl import flags

from dynamics.checkpoints import audit
from experiments import common, report, screening

FLAGS = flags.FLAGS
flags.DEFINE_enum(
    "read",
    "no",
    audit.WEIGHTS,
    "weights to read: none, a sample of matrices (by byte range), or all",
)


def body():
    study = common.open_suite(audited=False)
    faults = screening.examine(common.named_suite(), study.suite, study.store, FLAGS.read)
    for line in screening.summary(faults) or ["nothing found"]:
        print(line)
    report.write(study.store, study.suite.name)


if __name__ == "__main__":
    common.main(body)
