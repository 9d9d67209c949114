"""An estimate of the local learning coefficient, with all that is needed to doubt it.

Axes: C chains.
"""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from dynamics.errors import InputError
from dynamics.slt.bias import Bias
from dynamics.slt.pull import PullExponent
from dynamics.slt.samplers.base import Sampler
from dynamics.slt.stability import Stability
from dynamics.slt.target import Outcome
from dynamics.slt.verdict import Verdict

PerDraw = Float[np.ndarray, "C draws"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LLCEstimate:
    """An estimate, its error, and its diagnostics; losses are in the loss function's unit.

    Attributes:
        llc: lambda, dimensionless.
        sem: standard error, between-chain SD / sqrt(C); nan for one chain. It rests on C chains and
            does not see an error that all chains share. That of the "recycled" baseline,
            `shared_sem`, is often far larger.
        shared_sem: n beta times the error of an l(w*) that all chains share; 0 where each chain has
            its own or l(w*) is exact.
        per_chain: [C] the estimate of each chain.
        loss_trace: [C,draws] batch loss at w_t before the step, burn-in included; draw 0 is w*.
        baseline_trace: [C,draws] what each loss is compared with.
        init_loss: l(w*), over the batches drawn or over the data.
        init_loss_sem: its standard error as a population loss, from the spread of batch losses; nan
            where there is one batch.
        distance: [C,draws] |w_t - w*|.
        offset: [C,draws] |u_t|, the same in the sampler's units; equal to distance unless it has
            `scale_by`.
        grad_norm: [C,draws] norm of the batch gradient at w_t in those units, minibatch noise
            included.
        drift_norm, pull_norm, noise_norm: [C,draws] lengths of the step's three parts in those
            units.
        acceptance: mean Metropolis probability after the burn-in; nan where there was no test.
        probes: name -> [C,draws,...] what `per_item_fn` gave for that probe set at w_t; draw 0 is
            w*.
        init_norm: |w*|.
        num_free: number of weights that moved.
        rhat: rank-normalised split R-hat after the burn-in, the worst of what shows mixing: the
            loss above its baseline and, for minibatches, the squared offset along gradients of
            batches, which has no batch noise and is left out where chains have surely settled and
            agree (`diagnostics`); nan for one chain.
        ess: the smallest effective number of draws of the same, all chains together.
        loss_rhat, loss_ess: those of the loss above its baseline alone. With minibatches their
            noise looks like mixing.
        bias: what the step and the minibatches' noise add to the estimate, by the traces.
        pull_exponent: d ln llc / d ln gamma with its error where it was measured, and the bound on
            it that the traces give: whether the value is the landscape's or gamma's.
        target: what came of the standard error that was asked for; None where none was.
        verdict: whether the chains were still near the model.
        stability: what the top Hessian eigenvalue says about the step.
        sampler: all settings.
        nbeta, localization, step_size: n beta, gamma, epsilon. Estimates compare only at equal
            ones.
    """

    llc: float
    sem: float
    shared_sem: float
    per_chain: Float[np.ndarray, " C"]
    loss_trace: PerDraw
    baseline_trace: PerDraw
    init_loss: float
    init_loss_sem: float
    distance: PerDraw
    offset: PerDraw
    grad_norm: PerDraw
    drift_norm: PerDraw
    pull_norm: PerDraw
    noise_norm: PerDraw
    acceptance: float
    probes: Mapping[str, np.ndarray]
    init_norm: float
    num_free: int
    rhat: float
    ess: float
    loss_rhat: float
    loss_ess: float
    bias: Bias
    pull_exponent: PullExponent
    target: Outcome | None
    verdict: Verdict
    stability: Stability
    sampler: Sampler
    nbeta: float
    localization: float
    step_size: float

    @property
    def error(self) -> float:
        """Standard error with all that is known: between chains, and of an l(w*) they share."""
        return math.hypot(self.sem, self.shared_sem)

    @property
    def burn_in(self) -> int:
        """Draws at the start of each chain that the estimate does not use."""
        return self.sampler.burn_in

    @property
    def llc_trace(self) -> Float[np.ndarray, "C draws_after_burn_in"]:
        """Running estimate of each chain after the burn-in; its last column is `per_chain`.

        Hoogland et al. (2024), "Loss Landscape Degeneracy and Stagewise Development in
        Transformers", appendix A.4.4, equation 12.
        """
        excess = (self.loss_trace.astype(np.float64) - self.baseline_trace)[:, self.burn_in :]
        return self.nbeta * np.cumsum(excess, axis=1) / np.arange(1, excess.shape[1] + 1)[None]

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Student's t interval from the whole error; nan for one chain.

        It covers what chains of this length estimate on average, at the l(w*) of all the data. The
        error between chains and that of a shared l(w*) have C - 1 degrees of freedom each; together
        they have those of Welch and Satterthwaite. It holds from some 50 independent draws per
        chain on; below that the verdict warns of "too few draws".

        Raises:
            InputError: a level that is not between 0 and 1.
        """
        from scipy import stats

        if not 0 < level < 1:
            raise InputError(f"level={level}", expected="a share between 0 and 1")
        own = max(1, len(self.per_chain) - 1)
        parts = self.sem**4 + self.shared_sem**4
        freedom = own * self.error**4 / parts if parts > 0 else own
        reach = self.error * float(stats.t.ppf((1 + level) / 2, freedom))
        return self.llc - reach, self.llc + reach

    def wbic(self, n: int) -> float:
        """WBIC = n E[l(w)] of n items (Watanabe 2013), which estimates their free energy.

        The free energy is n l(w*) + lambda log n to first order.

        Raises:
            InputError: chains at another temperature than n beta = n / log n, at which WBIC is
                defined.
        """
        defined_at = n / math.log(n) if n > 1 else math.nan
        if not math.isclose(self.nbeta, defined_at, rel_tol=1e-3):
            raise InputError(
                f"nbeta={self.nbeta:g} for the WBIC of {n} items",
                expected=f"nbeta = n / log n = {defined_at:g}",
                mend="Sample at that temperature.",
            )
        return n * self.verdict.chain_loss
