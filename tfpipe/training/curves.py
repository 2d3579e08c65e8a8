"""Draw one run's "Model accuracy" and "Model loss", and what every plot here shares."""

import contextlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfpipe.base import files

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRAIN_COLOUR, TEST_COLOUR = "#0072B2", "#D55E00"
REFERENCE_COLOUR = "#767676"
LEAST_SPAN = 0.1
# Neither PNG nor PDF is stamped with versions or a time.
UNSTAMPED: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


@contextlib.contextmanager
def open_figure(
    paths: Sequence[Path],
    width: float,
    height: float,
    fonts: Sequence[str] | None = None,
) -> Iterator["Figure"]:
    """Give an empty figure that is written to `paths` when the block ends well.

    A person's own matplotlib style doesn't act, and the same numbers give the same
    bytes.

    Args:
        paths: as .png, .pdf or both.
        width, height: in inches, at 150 dots an inch.
        fonts: families, each for the letters that those before it lack; None:
            matplotlib's own.
    """
    import matplotlib
    import matplotlib.style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    style = {"font.size": 9, "font.family": list(fonts or ["DejaVu Sans"])}
    with matplotlib.style.context(["default", style]):
        figure = Figure(figsize=(width, height), dpi=150)
        FigureCanvasAgg(figure)
        yield figure
        # Laid out once: a figure with an engine of its own is drawn twice by each save.
        ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1).execute(figure)
        images = []
        for path in paths:
            image, kind = io.BytesIO(), path.suffix.removeprefix(".")
            figure.savefig(image, format=kind, metadata=UNSTAMPED[kind])
            images.append(image.getvalue())
    for path, data in zip(paths, images, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_bytes(path, data)


def draw_reference(axes: "Axes", value: float, label: str) -> None:
    """Draw what knowing nothing gives, as a thin dashed line."""
    axes.axhline(
        value, color=REFERENCE_COLOUR, linewidth=1, linestyle=(0, (4, 3)), label=label
    )


def dress_axes(axes: "Axes", title: str, quantity: str) -> None:
    """Give axes with curves their words, whole-number ticks and a quiet grid.

    The y axis spans at least 0.1, so that a flat curve's noise looks flat.
    """
    from matplotlib.ticker import MaxNLocator

    axes.set_title(title)
    axes.set_xlabel("Epoch")
    axes.set_ylabel(quantity)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    low, high = axes.get_ylim()
    missing = max(0.0, LEAST_SPAN - (high - low)) / 2
    axes.set_ylim(low - missing, high + missing)
    axes.grid(color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def draw_run(
    evaluations: list[dict[str, Any]],
    folder: Path,
    title: str,
    majority_share: float,
) -> None:
    """Write folder/accuracy.png and folder/loss.png: Train and Test against Epoch.

    Args:
        evaluations: lines of metrics.jsonl, those of the whole validation split, with
            epoch, loss, accuracy, val_loss and val_accuracy.
        folder: where to; made if absent.
        title: the run's name, in small below the plot.
        majority_share: the share of the largest validation class, in [0, 1].
    """
    epochs = [evaluation["epoch"] for evaluation in evaluations]
    for quantity in ("accuracy", "loss"):
        with open_figure([folder / f"{quantity}.png"], 6.0, 4.0) as figure:
            axes = figure.add_subplot()
            for label, metric, colour, marker in (
                ("Train", quantity, TRAIN_COLOUR, "o"),
                ("Test", f"val_{quantity}", TEST_COLOUR, "s"),
            ):
                values = [evaluation[metric] for evaluation in evaluations]
                axes.plot(epochs, values, color=colour, marker=marker, label=label)
            if quantity == "accuracy":
                share = f"majority share {majority_share:.3f}"
                draw_reference(axes, majority_share, share)
            dress_axes(axes, f"Model {quantity}", quantity.capitalize())
            figure.supxlabel(title, fontsize=8, color=REFERENCE_COLOUR)
            axes.legend(frameon=False)
