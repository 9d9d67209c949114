"""What the benchmark of an LLC's error compares by, on made-up estimates."""

import pytest

from benchmarks import llc_error as benchmark

ESTIMATES = [benchmark.Estimate(value, 0.5, seconds) for value, seconds in ((1.0, 2.0), (3.0, 4.0))]


def test_the_product_is_variance_times_median_seconds():
    assert benchmark.product(ESTIMATES) == pytest.approx(2.0 * 3.0)


def test_the_line_has_true_and_stated_error():
    text = benchmark.line("ours", ESTIMATES)
    assert "SD between repeats 1.41, stated 0.5; 3 s; variance x s 6" in text


def test_the_search_takes_the_setting_of_the_least_product(capsys):
    def peer(seed, batch, init_batches, matched):
        good = (batch, init_batches, matched) == (8, 512 // 8, False)
        return benchmark.Estimate((0.1 if good else 1.0) * seed, 0.0, 1.0)

    assert benchmark.search(peer, 512, 3) == {"batch": 8, "init_batches": 64, "matched": False}
    assert capsys.readouterr().out.count("search,") == 8
