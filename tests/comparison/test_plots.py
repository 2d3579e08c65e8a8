import hashlib
import math
import os
import subprocess
import sys

import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import same_color
from matplotlib.figure import Figure

from tfpipe.comparison import plots, series
from tfpipe.training import curves

PANELS = {panel.metric: panel for panel in plots.PANELS if not panel.is_aligned}
LABELS = ("rmsprop 1e-4", "adam 1e-4", "sgd 1e-4", "adam 1e-3")


@pytest.fixture
def draw_panels(make_analysis):
    """Give a function that draws each metric into axes of its own, by metric."""

    def draw(runs):
        panels = {metric: Figure().add_subplot() for metric in PANELS}
        configurations = make_analysis(runs).configurations
        for metric, axes in panels.items():
            plots.draw_panel(axes, configurations, PANELS[metric])
        return panels

    return draw


def median_of(axes, index):
    [line] = [line for line in axes.lines if line.get_gid() == f"configuration {index}"]
    return line


def reference_of(axes, label):
    [line] = [line for line in axes.lines if line.get_label() == label]
    return line


def test_curves_hold_the_numbers_of_the_notebook(notebook_runs, draw_panels):
    panels = draw_panels(notebook_runs)
    line = median_of(panels["val_accuracy"], 0)
    assert list(line.get_xdata()) == [1, 2, 3, 4, 5]
    assert list(line.get_ydata()) == [0.6264, 0.6475, 0.7590, 0.7562, 0.7997]
    assert median_of(panels["accuracy"], 1).get_ydata()[-1] == 0.6589


def test_a_configuration_looks_the_same_in_every_plot_and_like_no_other(
    notebook_runs, draw_panels
):
    panels = draw_panels(notebook_runs)
    del panels["test_accuracy"]
    looks = set()
    for index in range(4):
        lines = [median_of(axes, index) for axes in panels.values()]
        [look] = {(line.get_color(), line.get_marker()) for line in lines}
        looks.add(look)
    assert len({colour for colour, _ in looks}) == 4
    assert len({marker for _, marker in looks}) == 4


def test_what_knowing_nothing_gives_is_drawn_and_named(notebook_runs, draw_panels):
    panels = draw_panels(notebook_runs)
    accuracy = panels["val_accuracy"]
    share = reference_of(accuracy, "accuracy of the majority share: 0.510")
    assert set(share.get_ydata()) == {3188 / 6250}
    loss = reference_of(panels["val_loss"], "loss of no information: ln 2 = 0.693")
    assert set(loss.get_ydata()) == {math.log(2)}
    [band] = accuracy.patches
    low, high = band.get_y(), band.get_y() + band.get_height()
    assert (round(low, 4), round(high, 4)) == (0.4977, 0.5225)
    assert not panels["accuracy"].patches


def test_epochs_are_whole_ticks_even_for_one_evaluation(write_run, draw_panels):
    panel = draw_panels([write_run([0.6])])["val_accuracy"]
    low, high = panel.get_xlim()
    assert [tick for tick in panel.get_xticks() if low <= tick <= high] == [1]


def test_a_flat_curve_looks_flat(write_run, draw_panels):
    run = write_run([0.5, 0.5], val_loss=[0.6931, 0.6932])
    for axes in draw_panels([run]).values():
        low, high = axes.get_ylim()
        assert high - low >= curves.LEAST_SPAN - 1e-9


def test_a_diverged_run_does_not_flatten_the_others(write_run, draw_panels):
    runs = [
        write_run([0.6, 0.7], val_loss=[0.6, 0.5]),
        write_run(
            [0.5, 0.5, 0.5],
            val_loss=[0.7, 1e6, math.inf],
            optimizer="sgd",
            status="diverged",
        ),
        write_run([], optimizer="adam", status="failed"),
    ]
    panel = draw_panels(runs)["val_loss"]
    assert panel.get_ylim() == (0, plots.HIGHEST_LOSS * math.log(2))
    assert panel.get_ylabel() == "Loss (cut off above 2.08)"


def test_seeds_are_thin_and_their_median_is_thick(write_run, draw_panels):
    values = ([0.5, 0.6], [0.6, 0.9], [0.7, 0.7])
    runs = [write_run(list(v), seed=seed) for seed, v in enumerate(values)]
    axes = draw_panels(runs)["val_accuracy"]
    median = median_of(axes, 0)
    assert list(median.get_ydata()) == [0.6, 0.7]
    [thin] = [one for one in axes.collections if isinstance(one, LineCollection)]
    assert [list(line[:, 1]) for line in thin.get_segments()] == list(map(list, values))
    assert thin.get_linewidth()[0] < 1 < median.get_linewidth()
    assert same_color(thin.get_color()[0][:3], median.get_color())
    low, high = axes.get_ylim()
    assert low < 0.5 and high > 0.9  # single runs set the range, too


@pytest.mark.parametrize(
    ("statuses", "accuracies"),
    [
        # The median of what is left of three: of those that diverged it is the worst.
        (("done", "done", "diverged"), [0.6, 0.7]),
        (("done", "diverged", "diverged"), [0.6]),
        (("done", "done", "interrupted"), [0.6, 0.75]),
        (("done", "interrupted", "interrupted"), [0.6]),
    ],
)
def test_a_median_is_never_that_of_the_survivors(
    write_run, make_analysis, statuses, accuracies
):
    values = ([0.5, 0.7], [0.6, 0.8], [0.7])
    if statuses[1] != "done":
        values = ([0.5, 0.7], [0.6], [0.7])
    runs = [
        write_run(v, seed=seed, status=status)
        for seed, (v, status) in enumerate(zip(values, statuses, strict=True))
    ]
    configurations = make_analysis(runs).configurations
    [bundle] = series.bundles(configurations, "val_accuracy")
    assert list(bundle.median.values) == accuracies


def test_aligned_curves_begin_where_runs_left_their_start(write_run, make_analysis):
    """By epoch 1, by epoch 3 and never: of two, three and no evaluations from there."""
    values = ([0.6, 0.7, 0.8], [0.5, 0.5, 0.64, 0.74], [0.5] * 4)
    runs = [write_run(row, seed=seed) for seed, row in enumerate(values)]
    configurations = make_analysis(runs).configurations
    [bundle] = series.bundles(configurations, "val_accuracy", is_aligned=True)
    first, second = bundle.runs
    assert first.values == (0.6, 0.7, 0.8)
    assert second.values == (0.64, 0.74)
    # The third epoch took 92 seconds, the fourth 93.
    clocks = (second.epochs, second.steps, second.seconds)
    assert clocks == ((0, 1), (0, 586), (0, 93))
    assert bundle.median.values == pytest.approx((0.62, 0.72))
    never = make_analysis([runs[2], runs[2].replace(seed=9)]).configurations
    assert series.bundles(never, "val_accuracy", is_aligned=True) == []
    assert plots.ALIGNED not in plots.panels_of(never)


def test_runs_that_diverged_at_once_count_in_the_median(write_run, make_analysis):
    """Three of five: the median run has no accuracy, whatever the others have."""
    runs = [write_run([0.6, 0.8], seed=seed) for seed in range(2)]
    runs += [write_run([], seed=seed, status="diverged") for seed in range(2, 5)]
    [bundle] = series.bundles(make_analysis(runs).configurations, "val_accuracy")
    assert bundle.median.values == ()


def test_there_are_both_formats_and_no_figure_without_numbers(
    notebook_runs, make_analysis, write_run, tmp_path
):
    configurations = make_analysis(notebook_runs).configurations
    paths = plots.draw_comparison(configurations, tmp_path / "figures")
    stems = ("comparison", "train_accuracy", "train_loss", "val_accuracy", "val_loss")
    stems += ("val_accuracy_aligned",)
    names = {f"{stem}.{kind}" for stem in stems for kind in ("png", "pdf")}
    assert {path.name for path in paths} == names
    assert {path.name for path in (tmp_path / "figures").iterdir()} == names
    failed = make_analysis([write_run([], seed=7, status="failed")]).configurations
    assert plots.draw_comparison(failed, tmp_path / "none") == []
    assert not (tmp_path / "none").exists()


def test_figures_of_an_earlier_report_go_and_others_stay(
    write_run, make_analysis, tmp_path
):
    folder = tmp_path / "figures"
    folder.mkdir()
    for name in ("test_accuracy.pdf", "test_accuracy.png", "mine.png"):
        (folder / name).write_text("old")
    configurations = make_analysis([write_run([0.6])]).configurations
    paths = plots.draw_comparison(configurations, folder)
    assert {*folder.iterdir()} == {*paths, folder / "mine.png"}


ODD = ["$x_1$ <b> 猫狗", "_hidden"]
DRAW = """
import pickle, sys
from pathlib import Path
from tfpipe.comparison import plots
plots.draw_comparison(pickle.load(sys.stdin.buffer), Path(sys.argv[1]))
"""


def test_figures_are_equal_byte_for_byte_in_another_process(
    write_run, make_analysis, tmp_path
):
    import pickle

    runs = [write_run([0.5, 0.6], optimizer=name) for name in ("sgd", "adam")]
    configurations = make_analysis(runs, ODD).configurations
    digests = []
    for seed in ("1", "2"):
        folder = tmp_path / seed
        subprocess.run(
            [sys.executable, "-W", "error", "-c", DRAW, str(folder)],
            input=pickle.dumps(configurations),
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
        )
        digests.append(
            {
                path.name: hashlib.sha256(path.read_bytes()).hexdigest()
                for path in folder.iterdir()
            }
        )
    assert digests[0] == digests[1]


def test_names_without_a_font_are_numbers(write_run, make_analysis, monkeypatch):
    runs = [write_run([0.5, 0.6], optimizer=name) for name in ("sgd", "adam")]
    configurations = make_analysis(runs, ["猫", "adam"]).configurations
    monkeypatch.setattr(plots, "CHINESE_FONTS", ())
    plots._fonts_for.cache_clear()
    assert plots.legend_names(configurations) == ["1", "2"]
    plots._fonts_for.cache_clear()
