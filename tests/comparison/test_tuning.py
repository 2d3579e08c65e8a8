import pytest

from tfpipe.comparison import tuning
from tfpipe.comparison.score import Score
from tfpipe.comparison.tuning import Search
from tfpipe.training.optimizers import OPTIMIZERS

CHANCE = 0.5


def scored(accuracies):
    return [Score(True, 0, accuracy) for accuracy in accuracies]


def peaks(**best):
    """Scores that are highest at one rate of each search: 0.9, less a place away."""

    def scores(name, rates):
        steps = [-20 + step for step in range(41)]
        ladder = [tuning.half_decade(step) for step in steps]
        top = ladder.index(best[name])
        return scored(0.9 - 0.01 * abs(ladder.index(rate) - top) for rate in rates)

    return scores


def follow(scores, **centres):
    searches = {name: tuning.around(rate) for name, rate in centres.items()}
    return tuning.follow(searches, scores)


@pytest.mark.parametrize(
    ("step", "rate"),
    [(-8, 1e-4), (-7, 3e-4), (-6, 1e-3), (-1, 0.3), (0, 1.0), (1, 3.0)],
)
def test_half_decades_are_as_people_write_them(step, rate):
    assert tuning.half_decade(step) == rate


def test_a_search_starts_with_five_rates():
    assert tuning.around(0.001).rates == (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
    assert tuning.around(0.001).start == tuning.around(0.001).rates


@pytest.mark.parametrize(
    "name", [name for name, row in OPTIMIZERS.items() if not row.refused]
)
def test_the_middle_is_the_optimizers_own_centre(name):
    centre = OPTIMIZERS[name].centre
    assert tuning.around(centre).rates[tuning.REACH] == centre


def test_a_best_inside_ends_it():
    course = follow(peaks(sgd=0.03), sgd=0.01)
    assert course.best == {"sgd": 0.03}
    assert len(course.rates["sgd"]) == 5
    assert course.lines == ("sgd: the best of 5 rates of 1e-3 to 0.1 is 0.03 (0.9000)",)


def test_a_best_at_the_low_edge_goes_on_below():
    course = follow(peaks(sgd=1e-3), sgd=0.01)
    assert course.best == {"sgd": 1e-3}
    assert course.rates["sgd"][:2] == (1e-4, 3e-4)
    assert course.lines[0].endswith("1e-3 (0.9000), the lowest; tried next: 1e-4, 3e-4")


def test_a_best_at_the_high_edge_goes_on_twice_and_no_further():
    course = follow(peaks(sgd=1e3), sgd=0.01)
    assert course.best == {"sgd": 10.0}
    assert course.rates["sgd"][-4:] == (0.3, 1.0, 3.0, 10.0)
    assert len(course.lines) == 3
    assert course.lines[-1].endswith("the highest: a better one may lie beyond")


def test_every_optimizer_gets_the_same_number_of_trials():
    course = follow(
        peaks(sgd=1.0, adam=3e-3, lion=3e-5, lamb=1e-3),
        **{"sgd": 0.01, "adam": 1e-3, "lion": 1e-4, "lamb": 1e-3},
    )
    assert {len(rates) for rates in course.rates.values()} == {9}
    # sgd went up twice; the others at the side nearer to their best, a middle one down.
    assert course.rates["sgd"][-1] == 10.0
    assert course.rates["adam"][-1] == 0.1
    assert course.rates["lion"][0] == 1e-7
    assert course.rates["lamb"][0] == 1e-5
    assert course.best == {"sgd": 1.0, "adam": 3e-3, "lion": 3e-5, "lamb": 1e-3}
    assert "adam: the best of 5" in course.lines[1]
    assert course.lines[1].endswith(
        "tried next: 0.03, 0.1, for as many trials as the others"
    )


def test_what_was_widened_for_company_is_searched_on_where_that_is_better():
    def scores(name, rates):
        if name == "sgd":
            return peaks(sgd=0.3)(name, rates)
        # A second hill below what was tried first.
        return scored(0.95 if r == 1e-5 else 0.9 - abs(r - 3e-4) for r in rates)

    course = follow(scores, sgd=0.01, adam=1e-3)
    assert course.best == {"sgd": 0.3, "adam": 1e-5}
    assert {len(rates) for rates in course.rates.values()} == {9}
    assert course.rates["adam"][0] == 1e-6


def test_a_side_that_may_not_go_on_leaves_the_other():
    search = Search(start=(), centre=-4, lower=2)
    other = Search(start=(), centre=-4, upper=1, lower=1)
    found = tuning.next_searches({"sgd": search, "adam": other}, {"sgd": 0, "adam": 8})
    assert (found["sgd"].lower, found["sgd"].upper) == (2, 1)
    assert (found["adam"].lower, found["adam"].upper) == (1, 2)
    assert tuning.next_searches({"sgd": search}, {"sgd": 0}) == {}


@pytest.mark.parametrize(
    ("scores", "place"),
    [
        ([0.5, 0.9, 0.9, 0.5, 0.5], 2),
        ([0.5, 0.9, 0.5, 0.9, 0.5], 1),
        ([0.9, 0.5, 0.5, 0.5, 0.9], 0),
        ([0.5] * 5, 2),
        ([0.5, 0.5], 0),
    ],
)
def test_of_equal_ones_the_nearest_to_the_middle_then_the_lower(scores, place):
    assert tuning.find_best(scored(scores)) == place


def test_all_diverged_points_nowhere():
    course = follow(lambda name, rates: scored([CHANCE] * len(rates)), sgd=0.01)
    assert course.best == {"sgd": 0.01}
    assert course.lines == ("sgd: all rates of 1e-3 to 0.1 give 0.5000, taken: 0.01",)


def test_rates_that_were_given_stay():
    search = Search(start=(0.01, 0.1))
    course = tuning.follow({"sgd": search}, peaks(sgd=0.1))
    assert course.best == {"sgd": 0.1}
    assert course.lines == (
        "sgd: the best of 2 rates of 0.01 to 0.1 is 0.1 (0.9000), the highest: "
        "a better one may lie beyond",
    )


def test_without_all_scores_nothing_is_chosen():
    def scores(name, rates):
        known = len(rates) == 5 or name == "adam"
        return peaks(sgd=0.1, adam=1e-3)(name, rates) if known else None

    course = follow(scores, sgd=0.01, adam=1e-3)
    assert course.best == {}
    assert len(course.lines) == 2
    assert [len(rates) for rates in course.rates.values()] == [7, 7]


def test_nothing_to_search_is_nothing_to_choose():
    assert tuning.follow({}, lambda name, rates: None).best == {}
