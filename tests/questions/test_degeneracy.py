"""What accounts for an LLC, on made-up curves whose causes are planted."""

import dataclasses

import made_llc
import numpy as np
import test_development

from dynamics.figures import style
from dynamics.questions import Committed, degeneracy
from dynamics.questions.degeneracy import record
from dynamics.results import Unit

STEPS = tuple(range(0, 320, 16))
D3 = 24


def course() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Loss, share of the strongest of two components, and an LLC of both."""
    loss, share = np.random.default_rng(0).standard_normal((2, len(STEPS))).cumsum(1)
    share = 0.5 + 0.4 * (share - share.min()) / np.ptp(share)
    rank = np.exp(-(share * np.log(share) + (1 - share) * np.log(1 - share)))
    return loss, share, 40 - 3 * loss + D3 / 2 * rank


def zeroed(num: int = 4) -> record.Record:
    return record.Record(
        num_collapsed=num,
        num_candidates=40,
        loss=0.001,
        loss_sem=0.002,
        llc=-0.2,
        llc_sem=0.5,
        random_loss=np.array([0.8, 1.4]),
        random_loss_sem=np.full(2, 0.01),
        random_llc=np.array([-9.0, -7.0]),
        random_llc_sem=np.full(2, 0.5),
        outputs_after_embedding=D3,
    )


def results(models=("toy",), num: int = 4) -> dict:
    """Units of every model, measure -> units."""
    loss, share, llc = course()
    found: dict[str, list] = {"development": [], "llc": [], record.MEASURE: []}

    def add(measure, model, step, data):
        found[measure].append((Unit(measure=measure, model=model, seeds=(0,), step=step), data))

    for model in models:
        for k, step in enumerate(STEPS):
            shares = np.array([share[k], 1 - share[k]])
            made = test_development.made(0)
            made = dataclasses.replace(made, loss=loss[k], embed_shares=shares)
            add("development", model, step, test_development.record.to_dataset(made))
            estimate = made_llc.one_record(llc[k], loss[k])
            add("llc", model, step, made_llc.record.to_dataset(estimate))
        add(record.MEASURE, model, STEPS[-1], record.to_dataset(zeroed(num)))
    return found


def test_a_planted_cause_is_found_beyond_the_loss():
    (model,) = degeneracy.find(Committed(results())) or []
    rank = model.partials["effective rank of the embedding"]
    assert rank.value > 0.999
    assert rank.chance < 0.05
    assert np.isnan(model.partials["weight norm"].value)  # which does not vary
    loss, _, llc = course()
    assert model.fall is not None
    by_loss = 3 * (loss[-1] - loss[int(llc.argmax())])  # what the embedding does not explain
    np.testing.assert_allclose(model.fall.measured, model.fall.predicted + by_loss, rtol=1e-5)


def test_the_page_says_what_setting_to_zero_did():
    def page(num: int):
        models = degeneracy.find(Committed(results(num=num))) or []
        return degeneracy.QUESTION.section(models, style.Look(["toy"]))

    sentences = " ".join(finding.sentence for finding in page(4).findings)
    assert "the 4 collapsed scales of toy change its loss by 0.00100 and its LLC by" in sentences
    assert "of 2 random sets as large the least change of the loss is 0.800" in sentences
    none = " ".join(finding.sentence for finding in page(0).findings)
    assert "No scale of a norm of toy, of 40, has collapsed at step 304" in none
