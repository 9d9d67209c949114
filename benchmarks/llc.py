"""SGLD steps here and in devinterp 2.0.1: same weights, batches, float32 and step.

Axes: C chains.

Both sides move w by -(eps/2) [n beta grad l + gamma (w - w*)] + N(0, eps) (theirs is their default,
SGMCMC.sgld with lr = eps). The data are as many windows as a batch has, so that every step of both
sees the same batch, and the loss is compared with l(w*) on it; neither side then makes a second
forward pass.
"""

import functools
import gc
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from benchmarks import setting
from dynamics import slt
from dynamics.measures import surprisal
from dynamics.models import gpt_neox

SEGMENTS = 4


class Case(NamedTuple):
    """One comparison."""

    config: gpt_neox.Config
    windows: int  # of a batch
    length: int  # tokens of a window
    chains: int
    draws: int
    step_size: float
    localization: float


class Timed(NamedTuple):
    """One estimate."""

    seconds: float  # a step of all chains together
    llc: float
    per_chain: np.ndarray  # [C] their estimates
    start: float  # seconds before steps go at that pace: compilation, data, copies


def ours(
    case: Case, params, tokens, drawn: bool = False, chain_batch: int | None = None
) -> Callable[[int], Timed]:
    """seed -> one estimate, timed between the ends of its segments.

    `drawn` draws batches from all `tokens`, and takes our default baseline, "same_batch".
    """
    sampler = slt.SGLD(
        step_size=case.step_size,
        localization=case.localization,
        num_chains=case.chains,
        num_draws=case.draws,
        batch_size=case.windows,
        baseline="same_batch" if drawn else "fixed",
        chain_batch=chain_batch,
        segment=case.draws // SEGMENTS,
    )

    def timed(seed: int) -> Timed:
        marks = [time.perf_counter()]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            estimate = slt.estimate_llc(
                surprisal.loss_fn(case.config),
                params,
                tokens,
                jax.random.key(seed),
                sampler,
                top_eigenvalue=None,  # no spectrum: the peers measure none
                progress=lambda done, total: marks.append(time.perf_counter()),
            )
        segment = (marks[-1] - marks[1]) / (len(marks) - 2)
        per_step = segment / (case.draws // SEGMENTS)
        start = marks[1] - marks[0] - segment
        return Timed(per_step, estimate.llc, estimate.per_chain, start)

    return timed


def devinterp(case: Case, params, tokens, device: str = "cpu") -> Callable[[int], Timed]:
    """seed -> one `sample` and `compute_llc` of devinterp, timed between the losses of a chain.

    Its loop waits for the loss of every step, so that a call of the loss marks the end of the step
    before on a GPU too.
    """
    import datasets
    from devinterp.slt import llc, lm_loss, sampling

    model = setting.in_torch(case.config, params)
    data = datasets.Dataset.from_dict({"input_ids": tokens.tolist()})
    data.set_format(type="torch", columns=["input_ids"])
    # It collects garbage twice a chain; what is here by now need not be looked through again.
    gc.collect()
    gc.freeze()

    def timed(seed: int) -> Timed:
        calls: list[float] = []

        def loss(model, input_ids):
            calls.append(time.perf_counter())
            return lm_loss.compute_per_token_loss(model, input_ids)

        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            start = time.perf_counter()
            samples = sampling.sample(
                model,
                data,
                observables={},
                lr=case.step_size,
                n_beta=case.windows / np.log(case.windows),
                localization=case.localization,
                num_chains=case.chains,
                num_draws=case.draws,
                batch_size=case.windows,
                num_init_loss_batches=max(1, len(tokens) // case.windows),
                init_seed=seed * case.chains,  # their chains take seeds from here on
                match_sampling_input_ids_across_chains=False,
                device=device,
                output_path=Path(folder) / "samples.zarr",
                loss_fn=loss,
            )
            whole = time.perf_counter() - start
            per_chain = np.asarray(llc.compute_llc(samples).llc_per_chain)
        marks = np.reshape(calls[-case.chains * case.draws :], (case.chains, case.draws))
        per_step = float((marks[:, -1] - marks[:, 0]).sum()) / (case.draws - 1)
        return Timed(per_step, float(per_chain.mean()), per_chain, whole - per_step * case.draws)

    return timed


def sides(
    case: Case, drawn: bool = False, chain_batch: int | None = None, device: str = "cpu"
) -> tuple[Callable[[int], Timed], Callable[[], Callable[[int], Timed]]]:
    """(our side, a function that builds devinterp's) over the same weights and batches."""
    params = setting.params_of(case.config)
    tokens = setting.tokens_of(case.config, case.windows * (8 if drawn else 1), case.length)
    return (
        ours(case, params, tokens, drawn, chain_batch),
        functools.partial(devinterp, case, params, tokens, device),
    )
