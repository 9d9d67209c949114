"""What does an in-context regression transformer learn, and when?

    python -m experiments.development --suite=icl-small     # which is trained on first use

Test loss, distance from the task prior, in-context scores, errors out of distribution, collapse of
embeddings and norms, and where heads look, at every checkpoint of every seed. Expect E[yhat^2] to
fall below .05 before the loss falls below 4, and ICL 1:D to be negative after.
"""

import jax
import numpy as np
from absl import flags

from dynamics import models
from dynamics.data import contexts
from dynamics.errors import InputError
from dynamics.measures import icl_development, squared_error
from dynamics.questions.development import record
from dynamics.results import Unit
from dynamics.study import Study
from experiments import common, number_flags

FLAGS = flags.FLAGS
number_flags.whole("development_contexts", 2048, "contexts to measure on", least=2, most=1 << 16)
number_flags.reals(
    "gains",
    [0.1, 1.0, 10.0, 100.0],
    "variances of inputs and tasks out of distribution",
    least=1e-6,
    most=1e6,
)


def experiments(study: Study) -> list[common.Experiment]:
    """A unit for every checkpoint of every seed. Raises InputError for a suite of text."""
    if study.regression is None:
        raise InputError(
            f"the suite {study.suite.name} of models of text",
            expected="models of in-context regression",
            mend="Train some: python -m experiments.icl_regression, which prints their suite.",
        )
    config = {
        **study.text_config(),
        "contexts": FLAGS.development_contexts,
        "far_contexts": _far_contexts(),
        "gains": list(FLAGS.gains),
    }
    units = study.single_units(record.MEASURE)
    return [common.Experiment(record.MEASURE, config, units, measured)]


def measured(study: Study, unit: Unit):
    """Behaviour on held-out contexts, and the structure of the weights."""
    checkpoint = study.load(*unit.cells()[0])
    config, params = checkpoint.config, jax.device_put(checkpoint.params)
    assert isinstance(config, models.icl_regression.Config)  # as `experiments` has asked
    tokens = study.evaluation_windows.take(FLAGS.development_contexts).tokens
    predictions = np.asarray(common.jitted(squared_error.predict_fn(config))(params, tokens))
    targets = contexts.targets_of(tokens)
    errors = np.square(predictions - targets)
    ridge = squared_error.ridge(tokens, noise_variance=config.noise_variance)
    best = np.square(np.asarray(ridge) - targets)
    loss = icl_development.mean_of(errors.mean(1))
    zero, prior = icl_development.task_prior(predictions, tokens, _mean_task(study, config))
    early, late = icl_development.icl_scores(errors, config.task_size)
    weights = icl_development.structure(config, checkpoint.params)
    attention = icl_development.attention_fn(config)(params, tokens)
    far = icl_development.out_of_distribution(
        config, params, tuple(FLAGS.gains), num_contexts=_far_contexts()
    )
    developed = record.Record(
        loss=loss.value,
        loss_sem=loss.sem,
        ridge_loss=float(best.mean()),
        trivial_loss=squared_error.trivial_loss(config, study.suite.num_tasks),
        mean_square=zero.value,
        mean_square_sem=zero.sem,
        from_prior=prior.value,
        from_prior_sem=prior.sem,
        icl_early=early.value,
        icl_early_sem=early.sem,
        icl_late=late.value,
        icl_late_sem=late.sem,
        by_pair=errors.mean(0),
        ridge_by_pair=best.mean(0),
        weight_norm=weights.weight_norm,
        embed_shares=weights.embed_shares,
        position_shares=weights.position_shares,
        position_in_embed=weights.position_in_embed,
        norms=weights.norms,
        small_scales=weights.small_scales,
        small_biases=weights.small_biases,
        attention=np.stack([getattr(attention, name) for name in record.ATTENTION]),
        kinds=np.array(icl_development.KINDS)[icl_development.classify(attention)],
        gains=np.array(FLAGS.gains),
        input_error=far["inputs"][:, 0],
        task_error=far["tasks"][:, 0],
        input_size=far["inputs"][:, 1],
        task_size=far["tasks"][:, 1],
        num_contexts=len(tokens),
    )
    return record.to_dataset(developed), [checkpoint.provenance]


def _far_contexts() -> int:
    """Contexts out of distribution: of many gains, and without error bars, a quarter is enough."""
    return max(2, FLAGS.development_contexts // 4)


def _mean_task(study: Study, config: models.icl_regression.Config) -> np.ndarray | None:
    """That of the finite set that the suite is trained on; None of fresh tasks."""
    if study.suite.num_tasks is None:
        return None
    return np.asarray(contexts.task_set(0, study.suite.num_tasks, config.task_size)).mean(0)


if __name__ == "__main__":
    common.main(lambda: common.run_all(experiments))
