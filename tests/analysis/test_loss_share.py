"""Curves of estimates that are, and are not, the loss curve upside down."""

import numpy as np
import pytest

from dynamics.analysis.loss_share import explained_by_loss
from dynamics.errors import InputError

LOSSES = np.linspace(4.4, 1.75, 30)
NBETA = 66.67


def test_chains_that_left_the_model_estimate_the_loss():
    share = explained_by_loss(NBETA * (4.43 - LOSSES), LOSSES, NBETA)
    assert share.correlation == pytest.approx(1)
    assert share.implied_chain_loss == pytest.approx(4.43)
    assert share.residual < 1e-9
    assert share.explained


def test_a_hump_over_a_falling_loss_is_not_the_loss():
    share = explained_by_loss(100 * np.sin(np.linspace(0, np.pi, 30)), LOSSES, NBETA)
    assert abs(share.correlation) < 0.1
    assert not share.explained


def test_a_constant_curve_has_no_correlation():
    share = explained_by_loss(np.full(30, 7.0), LOSSES, NBETA)
    assert np.isnan(share.correlation)
    assert not share.explained


def test_two_checkpoints_are_too_few():
    with pytest.raises(InputError, match="at least three"):
        explained_by_loss([1.0, 2.0], [1.0, 2.0], 1.0)
