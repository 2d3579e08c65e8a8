"""What the report's interactive charts draw, as JSON for `chart.js`."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfpipe.comparison import plots, series
from tfpipe.comparison.configurations import Configuration
from tfpipe.comparison.series import Curve
from tfpipe.training import curves

SCRIPT = Path(__file__).with_name("chart.js")
LIGHT, DARK = "#ffffff", "#14181d"
"""The page's two grounds."""
LEAST_CONTRAST = 3.5
"""Of a line with its ground, somewhat above WCAG 2.2's 3 for graphics."""
DIGITS = 6
"""Significant ones of each number: a chart shows four."""


def script() -> str:
    """Return the program that draws the charts."""
    return SCRIPT.read_text(encoding="utf-8")


def data(configurations: Sequence[Configuration]) -> dict[str, Any]:
    """Return all curves and references, for `as_json`."""
    known = plots.references(configurations)
    return {
        "configurations": [
            {
                "label": configuration.label,
                "colour": index % len(plots.COLOURS),
                "dash": _dash(plots.LINES[index % len(plots.LINES)]),
                "marker": index % len(plots.MARKERS),
            }
            for index, configuration in enumerate(configurations)
        ],
        "panels": {
            panel.stem: {
                "title": panel.title,
                "clock": panel.clock,
                "curves": _curves(configurations, panel),
                "references": _references(panel.metric, known),
                "noise": known.noise if panel.metric == "val_accuracy" else None,
                "most": _most(panel.metric, known),
                "span": curves.LEAST_SPAN,
            }
            for panel in plots.panels_of(configurations)
        },
    }


def _dash(line: Any) -> str:
    return "" if line == "-" else " ".join(f"{2 * length:g}" for length in line[1])


def _curves(
    configurations: Sequence[Configuration], panel: plots.Panel
) -> list[dict[str, Any]]:
    """Return thin curves first, so that medians are drawn over them."""
    thin, thick = [], []
    for bundle in series.bundles(configurations, panel.metric, panel.is_aligned):
        if len(bundle.runs) > 1:
            thin += [_curve(bundle.index, run, False) for run in bundle.runs]
        if bundle.median.values:
            thick.append(_curve(bundle.index, bundle.median, True))
    return thin + thick


def _curve(index: int, curve: Curve, is_thick: bool) -> dict[str, Any]:
    return {
        "of": index,
        "seed": curve.seed,
        "thick": is_thick,
        "epochs": _rounded(curve.epochs),
        "steps": curve.steps,
        "seconds": _rounded(curve.seconds),
        "values": _rounded(curve.values),
    }


def _rounded(values: Sequence[float]) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in values]


def _references(metric: str, known: plots.References) -> list[dict[str, Any]]:
    if metric.endswith("accuracy"):
        return [
            {"value": share, "label": f"majority share {share:.3f}"}
            for share in known.shares
        ]
    return [
        {"value": math.log(number), "label": f"no information: ln {number}"}
        for number in known.num_classes
    ]


def _most(metric: str, known: plots.References) -> float | None:
    """Return where a panel is cut off above, if it is."""
    is_cut = metric.endswith("loss") and math.isfinite(known.highest_loss)
    return known.highest_loss if is_cut else None


def as_json(value: Any) -> str:
    """Return JSON that can stand within <script>: no text in it can end that."""
    text = json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def colour_rules(ground: str) -> str:
    """Return CSS with the configurations' colours on a ground: --c0 and so on."""
    return "".join(
        f"--c{index}:{readable(colour, ground)};"
        for index, colour in enumerate(plots.COLOURS)
    )


def readable(colour: str, ground: str) -> str:
    """Return a colour, moved away from its ground until it stands out enough.

    Both are "#rrggbb". It goes towards black on a light ground, white on a dark one.
    """
    goal = 0 if _luminance(ground) > 0.5 else 255
    channels = _channels(colour)
    for percent in range(0, 101, 2):
        moved = [round(c + (goal - c) * percent / 100) for c in channels]
        candidate = "#" + "".join(f"{channel:02x}" for channel in moved)
        lighter, darker = sorted((_luminance(candidate), _luminance(ground)))[::-1]
        if (lighter + 0.05) / (darker + 0.05) >= LEAST_CONTRAST:
            return candidate
    return candidate


def _channels(colour: str) -> list[int]:
    return [int(colour[start : start + 2], 16) for start in (1, 3, 5)]


def _luminance(colour: str) -> float:
    """Return the relative luminance of WCAG 2.2, from 0 for black to 1 for white."""
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (channel / 255 for channel in _channels(colour))
    ]
    red, green, blue = linear
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
