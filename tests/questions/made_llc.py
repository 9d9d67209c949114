"""A made-up record of one LLC estimate. Axes: C chains, T draws."""

import dataclasses

import numpy as np

from dynamics.questions.llc import record


def reference(llc: float = 40.0, **changed) -> record.Reference:
    """A quadratic reference of which the gradient takes a little off."""
    values = record.Reference(
        llc=llc,
        sem=1.0,
        slope=-2.0,
        pull_exponent=-0.4,
        pull_exponent_sem=0.01,
        unconfined=0.0,
        smallest=-0.1,
        largest=4.0,
    )
    return dataclasses.replace(values, **changed)


def one_record(llc_value: float = 50.0, init_loss: float = 3.0, **changed) -> record.Record:
    """An estimate of four chains, all that is not `changed` the same at every checkpoint."""
    rng = np.random.default_rng(0)
    trace = init_loss + rng.normal(0.05, 0.01, (4, 20))
    values = record.Record(
        llc=llc_value,
        sem=2.0,
        shared_sem=0.0,
        init_loss=init_loss,
        init_loss_sem=0.1,
        trivial_loss=6.9,
        chain_loss=init_loss + 0.05,
        chain_loss_sem=0.1,
        rhat=1.01,
        ess=200.0,
        acceptance=np.nan,
        nbeta=60.0,
        localization=300.0,
        step_size=1e-4,
        burn_in=5,
        num_free=1000,
        step_curvature=0.1,
        relative_distance=0.2,
        localization_share=0.5,
        loss_trace=trace,
        baseline_trace=np.full_like(trace, init_loss),
        per_chain=np.full(4, llc_value),
        distance=np.ones_like(trace),
        grad_norm=np.ones_like(trace),
        drift_norm=np.ones_like(trace),
        pull_norm=np.ones_like(trace),
        noise_norm=np.ones_like(trace),
        verdict="local",
        warnings=(),
        stability="stable",
        sentence="A sentence.",
    )
    return dataclasses.replace(values, **changed)
