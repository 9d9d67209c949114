"""The main job: a suite of checkpoints to a small site that shows how its models got their weights.

    python -m experiments.demo          # the nano suite, trained on first use
    python -m experiments.demo --suite=polypythia --models=14m,31m --weights=WEIGHTS --out=OUT

Eight minutes on 2 cores for the nano suite. The LLC is measured at every third checkpoint from step
8 on, and like the Hessian at one seed, which the page says; `python -m experiments.curvature` and
`python -m experiments.llc` with the same --out add the other seeds and steps.

Every work unit is committed when it is done, so the same command goes on where it was stopped. With
--shard=i/n each process takes its share; run `python -m experiments.report` with the same --out
once all are done.
"""

from absl import flags

from experiments import common, convergence, curvature, llc, report, weights

FLAGS = flags.FLAGS
FLAGS.set_default("llc_every", 3)
FLAGS.set_default("llc_from", 8)  # before that a model has no basin to leave
# All seeds of what costs most would take the job thrice as long.
FLAGS.set_default("llc_seeds", 1)
FLAGS.set_default("curvature_seeds", 1)


def body():
    study = common.open_suite()
    for script in (weights, convergence, curvature, llc):
        if script is convergence and len(study.suite.seeds) < 2:
            continue  # one seed has no pair; the site says so
        for experiment in script.experiments(study):
            common.run(study, experiment)
    if study.shard == "0/1":
        report.write(study.store, study.suite.name)


if __name__ == "__main__":
    common.main(body)
