"""Are a suite's checkpoints what they claim to be? Duplicates, borrowed shards, missing files,
strangers on the path.

    python -m experiments.audit --suite=pythia --models=2.8b --steps=all
    python -m experiments.audit --suite=nano --read=all

Without --read no weight is read: the hub's own digests are compared, one request for each
repository and, the first time, one for each revision. A local suite's files are hashed. Expect
pythia-2.8b to be convicted at 85 of 154 steps unless its branches have been mended since.
"""

from absl import flags

from dynamics.checkpoints import audit
from experiments import audits, common, report

FLAGS = flags.FLAGS
flags.DEFINE_enum(
    "read",
    "no",
    audit.WEIGHTS,
    "weights to read: none, a sample of matrices (by byte range), or all",
)


def body():
    context = common.open_suite(audited=False)
    findings = audits.examine(common.named_suite(), context.suite, context.store, FLAGS.read)
    for line in audits.summary(findings) or ["nothing found"]:
        print(line)
    report.write(context.store, context.suite.name)


if __name__ == "__main__":
    common.main(body)
