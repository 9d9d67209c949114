"""Trains a suite of our own, or says that it is there.

    python -m experiments.train_suite --suite=nano

About three minutes on 2 cores; resumes where it was killed. Checkpoints go to $DYNAMICS_CACHE
(~/.cache/dynamics).
"""

from experiments import common


def body():
    study = common.open_suite()
    print(
        study.suite.source(
            study.suite.models[0], study.suite.seeds[0], study.suite.steps[-1]
        ).location
    )


if __name__ == "__main__":
    common.main(body)
