"""The benchmarks run at toy size, and what they time agrees: LLC estimates with devinterp, products with PyHessian."""

import pytest

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore")]  # the peers' own warnings


def test_estimates_agree_with_devinterp():
    for package in ("torch", "transformers", "devinterp"):
        pytest.importorskip(package)
    from benchmarks import llc_vs_devinterp

    mine, other = llc_vs_devinterp.compare(llc_vs_devinterp.CASES["tiny"], 6)
    apart = llc_vs_devinterp.disagreement([run.llc for run in mine], [run.llc for run in other])
    assert apart < 4
    assert min(run.per_step for run in (*mine, *other)) > 0


def test_products_agree_with_pyhessian():
    for package in ("torch", "transformers", "pyhessian"):
        pytest.importorskip(package)
    from benchmarks import hvp_vs_pyhessian

    pairs = hvp_vs_pyhessian.compare(hvp_vs_pyhessian.MODELS["tiny"], 2, 8, 2)
    assert max(hvp_vs_pyhessian.apart(*pair) for pair in pairs) < 1e-4
