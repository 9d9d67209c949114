"""Trains a suite of our own, or says that it is there.

    python -m experiments.train_suite --suite=nano
    python -m experiments.convergence --suite=nano --train_on=two_languages.jsonl

About three minutes on 2 cores; resumes where it was killed. Checkpoints go to $DYNAMICS_CACHE
(~/.cache/dynamics). With --train_on a suite learns a text of yours in place of its own, and every
script trains it on first use. Where each line of that text says a language, as {"text": "der Hund",
"domain": "de"}, the page shows the divergence of seeds, the loss, and what the smaller model does
beyond the larger one by language, on the tenth of the documents that was held out.
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
