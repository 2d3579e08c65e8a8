import math

from matplotlib.figure import Figure

from tfpipe.comparison import plots, results
from tfpipe.training import curves


def draw_panels(runs):
    """Draw each metric into axes of its own, by metric."""
    panels = {metric: Figure().add_subplot() for metric, _ in plots.PANELS}
    for metric, axes in panels.items():
        plots.draw_panel(axes, results.read_results(runs), metric, metric)
    return panels


def curve_of(axes, label):
    [line] = [line for line in axes.lines if line.get_label() == label]
    return line


def test_curves_hold_the_numbers_of_the_notebook(notebook_runs):
    panels = draw_panels(notebook_runs)
    line = curve_of(panels["val_accuracy"], "rmsprop 1e-4")
    assert list(line.get_xdata()) == [1, 2, 3, 4, 5]
    assert list(line.get_ydata()) == [0.6264, 0.6475, 0.7590, 0.7562, 0.7997]
    assert curve_of(panels["accuracy"], "adam 1e-4").get_ydata()[-1] == 0.6589


def test_a_run_looks_the_same_in_every_plot_and_like_no_other(notebook_runs):
    panels = draw_panels(notebook_runs)
    looks = {}
    for label in ("rmsprop 1e-4", "adam 1e-4", "sgd 1e-4", "adam 1e-3"):
        lines = [curve_of(axes, label) for axes in panels.values()]
        [looks[label]] = {(line.get_color(), line.get_marker()) for line in lines}
    assert len({colour for colour, _ in looks.values()}) == 4
    assert len({marker for _, marker in looks.values()}) == 4


def test_what_knowing_nothing_gives_is_drawn_and_named(notebook_runs):
    panels = draw_panels(notebook_runs)
    share = curve_of(panels["val_accuracy"], "accuracy of the majority share: 0.510")
    assert set(share.get_ydata()) == {3188 / 6250}
    loss = curve_of(panels["val_loss"], "loss of no information: ln 2 = 0.693")
    assert set(loss.get_ydata()) == {math.log(2)}


def test_epochs_are_whole_ticks_even_for_one_evaluation(write_run):
    panel = draw_panels([write_run([0.6])])["val_accuracy"]
    low, high = panel.get_xlim()
    assert [tick for tick in panel.get_xticks() if low <= tick <= high] == [1]


def test_a_flat_curve_looks_flat(write_run):
    run = write_run([0.5, 0.5], val_loss=[0.6931, 0.6932])
    for axes in draw_panels([run]).values():
        low, high = axes.get_ylim()
        assert high - low >= curves.LEAST_SPAN - 1e-9


def test_a_diverged_run_does_not_flatten_the_others(write_run):
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
