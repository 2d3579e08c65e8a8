"""Statistics against hand-worked values and SciPy, and their errors on made studies."""

import math

import numpy as np
import pytest
import scipy.stats

from tfpipe.comparison import statistics


@pytest.mark.parametrize(
    ("right", "num", "low", "high"),
    [(4998, 6250, 0.7896, 0.8094), (4286, 6250, 0.6742, 0.6972), (0, 10, 0, 0.2775)],
)
def test_wilson(right, num, low, high):
    assert statistics.wilson(right, num) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(("right", "num"), [(0, 8), (1, 8), (5, 8), (8, 8), (3, 3)])
def test_the_exact_interval_is_scipys(right, num):
    interval = scipy.stats.binomtest(right, num).proportion_ci(method="exact")
    assert statistics.exact_interval(right, num) == pytest.approx(tuple(interval))


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 9, 10, 30, 61])
@pytest.mark.parametrize("share", [0.6, 0.975, 0.999])
def test_quantiles_are_scipys(degrees, share):
    expected = scipy.stats.t.ppf(share, degrees)
    assert statistics.t_quantile(share, degrees) == pytest.approx(expected, rel=1e-6)
    assert statistics.normal_quantile(share) == pytest.approx(
        scipy.stats.norm.ppf(share)
    )


def test_intervals_of_means():
    values = [0.78, 0.81, 0.79, 0.83]
    mean, low, high = statistics.mean_interval(values)
    expected = scipy.stats.t.interval(0.95, 3, np.mean(values), scipy.stats.sem(values))
    assert (low, high) == pytest.approx(expected)
    assert mean == pytest.approx(0.8025)
    other = [0.70, 0.75, 0.72]
    found = statistics.unpaired_interval(values, other)
    test = scipy.stats.ttest_ind(values, other, equal_var=False)
    wide = test.confidence_interval()
    assert found[0] == pytest.approx(np.mean(values) - np.mean(other))
    assert found[1] <= wide.low  # whole degrees of freedom: never narrower
    assert found[2] >= wide.high
    assert math.isnan(statistics.mean_interval([0.5])[1])
    assert statistics.unpaired_interval([1, 1], [0, 0]) == (1, 1, 1)


def test_sign_flips_by_hand():
    # Of 8 sign patterns of (1, 2, 3) only all-plus and all-minus reach 6.
    assert statistics.sign_flip_test([1, 2, 3]) == 2 / 8
    # |sum| = 4: +++ and ---, and those that flip the 1: +-+ of (2, -1, 3) flips to 6.
    assert statistics.sign_flip_test([2, -1, 3]) == 4 / 8
    assert statistics.sign_flip_test([0, 0, 0]) == 1
    assert statistics.sign_flip_test([]) == 1
    assert statistics.sign_flip_test([0.1] * 8) == 2 / 256


def test_sign_flips_are_scipys_permutation_test():
    values = np.random.default_rng(1).normal(0.3, 1, 9)
    expected = scipy.stats.permutation_test(
        (values,), np.sum, permutation_type="samples", n_resamples=np.inf
    )
    assert statistics.sign_flip_test(values) == pytest.approx(expected.pvalue)


def test_holm_by_hand():
    assert statistics.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert statistics.holm([0.5, 0.9]) == [1.0, 1.0]
    assert statistics.holm([]) == []


@pytest.mark.parametrize(("pairs", "needed"), [(6, 8), (3, 7), (66, 12), (1, 6)])
def test_what_a_study_can_show_at_all(pairs, needed):
    assert statistics.replicates_needed(pairs, 0.05) == needed
    assert statistics.smallest_p(needed - 1, pairs) > 0.05


def test_kaplan_meier_with_censored_runs_by_hand():
    # Reached at 3, 5 and 5; watched until 4 and until 9 without.
    found = statistics.kaplan_meier([3, 4, 5, 5, 9], [True, False, True, True, False])
    assert found.times == [3, 5]
    assert found.shares == pytest.approx([4 / 5, 4 / 5 * 1 / 3])
    assert found.median == 5
    assert statistics.kaplan_meier([9, 9, 3], [False, False, True]).median == math.inf
    assert statistics.kaplan_meier([9], [False]).times == []


def test_log_rank_by_enumeration():
    fast = [(1, True), (2, True), (3, True)]
    slow = [(7, True), (8, False), (8, False)]
    # Of 20 ways to deal six runs out, two are as extreme as this one.
    assert statistics.log_rank_test(fast, slow) == pytest.approx(2 / 20)
    assert statistics.log_rank_test(fast, fast) == 1


def test_the_statistic_of_log_rank_is_scipys():
    random = np.random.default_rng(2)
    groups = [random.exponential(scale, 30) for scale in (1.0, 2.5)]
    samples = [[(min(t, 3.0), t < 3.0) for t in times] for times in groups]
    expected = scipy.stats.logrank(
        *(
            scipy.stats.CensoredData.right_censored(
                [t for t, _ in sample], [not was for _, was in sample]
            )
            for sample in samples
        )
    )
    found = statistics.log_rank_test(*samples)
    assert found == pytest.approx(expected.pvalue, abs=0.02)


def study(random, kind, num_replicates=8, num_configurations=4):
    """Final accuracies of a study, [configurations, replicates].

    None is better, but for the first of kind "one better". Of kind "bimodal" a run has
    left its start or not, and those that didn't all answer one class.
    """
    shared = random.normal(0, 0.01, num_replicates)
    noise = random.normal(0, 0.01, (num_configurations, num_replicates))
    if kind == "bimodal":
        has_escaped = random.random((num_configurations, num_replicates)) < 0.6
        return np.where(has_escaped, 0.8 + shared + noise, 0.5)
    rows = 0.8 + shared + noise
    if kind == "one better":
        rows[0] += 0.05
    return rows


@pytest.mark.parametrize("kind", ["normal", "bimodal", "one better"])
def test_studies_without_a_difference_seldom_show_one(kind):
    """Of 2,000 made studies at most 5 % (and two standard errors) show a wrong one.

    By the whole rule: sign flips of every pair, Holm over all six, at 0.05. A true
    difference of one of them must not make up others.
    """
    random = np.random.default_rng(0)
    wrong = 0
    for _ in range(2000):
        rows = study(random, kind)
        pairs = [(i, j) for i in range(4) for j in range(i)]
        p_values = [statistics.sign_flip_test(rows[i] - rows[j]) for i, j in pairs]
        corrected = statistics.holm(p_values)
        wrong += any(
            p <= 0.05
            for p, pair in zip(corrected, pairs, strict=True)
            if kind != "one better" or 0 not in pair
        )
    assert wrong / 2000 <= 0.05 + 2 * 0.0049


def test_studies_with_a_difference_show_it():
    random = np.random.default_rng(0)
    found = 0
    for _ in range(200):
        rows = study(random, "one better")
        p_values = [statistics.sign_flip_test(rows[0] - rows[j]) for j in (1, 2, 3)]
        found += max(statistics.holm(p_values)) <= 0.05
    assert found > 180


def test_correlation_of_pairs():
    assert statistics.correlation([1, 2, 3], [2, 4, 6]) == pytest.approx(1)
    assert statistics.correlation([1, 1, 1], [2, 4, 6]) is None
    assert statistics.correlation([1], [2]) is None
