"""TensorBoard runs of whole configurations: the median of their replicates, its band.

    runs/aggregate/<configuration>/train  validation  test      medians
    runs/aggregate/<configuration>/low/...  high/...            the band about them

Tags and steps are those of single runs, so that TensorBoard lays one over the other; it
has no chart of bands, so that the edges are runs of their own. The same run folders
give the same bytes.
"""

import collections
import contextlib
import hashlib
import io
import json
import math
import os
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tfpipe.base import files
from tfpipe.comparison import markdown
from tfpipe.comparison.results import RunResult
from tfpipe.training import events, naming

FOLDER, LISTING = "aggregate", "aggregate.json"
# TensorBoard would read a file that is being written if its name told it events.
ASIDE = f"next{files.ASIDE_SUFFIX}"
QUARTILES_FROM = 6
"""Replicates from which on the band is the quartiles: of fewer they say little."""
LOW, HIGH = "low", "high"
# Of metrics, by how their tags end: `epoch_loss`, `evaluation_loss_vs_iterations`.
WORST = {
    pattern.format(name): worst
    for pattern in ("_{}", "_{}_vs_iterations")
    for name, worst in (("loss", math.inf), ("accuracy", -math.inf))
}

Place = tuple[str, int]
"""A folder (train, validation, test) and a step."""
Point = tuple[int, dict[str, float], float]
"""A step, the value of each tag, seconds since the first run began."""


def write_aggregates(
    configurations: Mapping[str, Sequence[RunResult]], runs_dir: Path
) -> list[Path]:
    """Write the medians and bands of configurations; remove those written before.

    A configuration of which fewer than two runs have begun has none: a single run
    stands in TensorBoard itself.

    Args:
        configurations: runs by label.
        runs_dir: the folder of the runs.

    Returns:
        The folder of each configuration that has a median.
    """
    folder = runs_dir / FOLDER
    names = _folder_names(configurations)
    contents: dict[str, bytes] = {}
    written = []
    for label, runs in configurations.items():
        found = _event_files(label, runs)
        contents |= {f"{names[label]}/{path}": data for path, data in found.items()}
        written += [folder / names[label]] if found else []
    _publish(folder, contents)
    return written


def _folder_names(labels: Iterable[str]) -> dict[str, str]:
    """Return a folder's name for each label, no two alike."""
    names = {label: naming.folder_name(label) for label in labels}
    counts = collections.Counter(names.values())
    for label, name in names.items():
        if counts[name] > 1:
            digest = hashlib.sha256(label.encode()).hexdigest()[:8]
            names[label] = naming.folder_name(name, f"-{digest}")
    return names


def _event_files(label: str, runs: Sequence[RunResult]) -> dict[str, bytes]:
    """Return the event files of a configuration, bytes by path; {} without a median."""
    begun = [run for run in runs if run.facts]
    if len(begun) < 2 or not any(run.evaluations for run in begun):
        return {}
    # Runs of older formats don't say when they began.
    starts = [run.facts.get("began_seconds", 0.0) for run in begun]
    began = min(starts)
    ends = [
        start + run.final["wall_seconds"]
        for start, run in zip(starts, begun, strict=True)
        if run.evaluations
    ]
    # Named by the newest evaluation: a TensorBoard that runs takes the file up.
    name = events.file_name(max(ends))
    text = io.BytesIO()
    events.EventFile(text, began).add_text(FOLDER, describe(label, runs), began)
    contents = {name: text.getvalue()}
    for place, points in _curves(begun).items():
        file = io.BytesIO()
        writer = events.EventFile(file, began)
        for step, values, seconds in points:
            writer.add_scalars(step, values, began + seconds)
        contents[f"{place}/{name}"] = file.getvalue()
    return contents


def _curves(runs: Sequence[RunResult]) -> dict[str, list[Point]]:
    """Return medians and edges, in order of steps, by folder."""
    is_many = len(runs) >= QUARTILES_FROM
    quantiles = {
        f"{LOW}/": 0.25 if is_many else 0.0,
        "": 0.5,
        f"{HIGH}/": 0.75 if is_many else 1.0,
    }
    values, seconds = _collect(runs)
    curves = collections.defaultdict(list)
    for (split, step), by_tag in sorted(values.items()):
        when = statistics.median(seconds[split, step])
        found = {tag: v for tag, v in by_tag.items() if 2 * len(v) > len(runs)}
        for edge, share in quantiles.items():
            point = {tag: _quantile(v, share) for tag, v in found.items()}
            known = {tag: value for tag, value in point.items() if math.isfinite(value)}
            if known:
                curves[edge + split].append((step, known, when))
    return curves


def _quantile(values: Sequence[float], share: float) -> float:
    """Return a quantile by linear interpolation, as NumPy's of finite values.

    It isn't finite where it lies at, or next to, a run that diverged.
    """
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below, part = math.floor(place), place % 1
    if part == 0:  # what lies above may be infinite
        return ordered[below]
    return ordered[below] * (1 - part) + ordered[below + 1] * part


def _collect(
    runs: Sequence[RunResult],
) -> tuple[dict[Place, dict[str, list[float]]], dict[Place, list[float]]]:
    """Return the values of all runs by tag, and the seconds each run took.

    A run that diverged has the worst ones from its end on, as in the report's median.
    """
    found: dict[Place, dict[str, list[float]]] = {}
    seconds: dict[Place, list[float]] = {}
    diverged: list[dict[tuple[str, str], int]] = []
    for run in runs:
        # A run that max_steps cut in an epoch and that went on has that epoch twice:
        # the later one counts, and the run once.
        own = {
            (split, step): (values, line["wall_seconds"])
            for line in run.evaluations
            for split, step, values in events.keras_scalars(line)
        }
        last: dict[tuple[str, str], int] = {}
        for (split, step), (values, wall_seconds) in own.items():
            seconds.setdefault((split, step), []).append(wall_seconds)
            by_tag = found.setdefault((split, step), {})
            for tag, value in values.items():
                if value is not None and math.isfinite(value):
                    by_tag.setdefault(tag, []).append(value)
                    last[split, tag] = max(step, last.get((split, tag), step))
        if run.status == "diverged":
            diverged.append(last)
    for (split, step), by_tag in found.items():
        for tag, values_of in by_tag.items():
            worst = next((w for end, w in WORST.items() if tag.endswith(end)), None)
            ended = [last for last in diverged if last.get((split, tag), -1) < step]
            values_of += [worst] * len(ended) if worst is not None else []
    return found, seconds


def describe(label: str, runs: Sequence[RunResult]) -> str:
    """Return what the curves of a configuration are, in Markdown."""
    begun = [run for run in runs if run.facts]
    seeds = ", ".join(str(run.settings["seed"]) for run in begun)
    band = "quartiles" if len(begun) >= QUARTILES_FROM else "minimum and maximum"
    lines = [
        f"**{markdown.escape(label)}**: the median of {len(begun)} runs (seeds "
        f"{seeds}) at each step; `{LOW}` and `{HIGH}` are their {band}.",
        "A run that diverged counts with the worst values from its end on. Steps that "
        "no more than half of the runs reached are left out, as are values that aren't "
        "finite.",
    ]
    if len(begun) < len(runs):
        lines.append(f"{len(runs) - len(begun)} of {len(runs)} runs haven't begun.")
    lines += [
        f"- {run.name}: {run.status.replace('_', ' ')}"
        for run in begun
        if run.status != "done"
    ]
    return "\n\n".join(lines)


def _publish(folder: Path, contents: dict[str, bytes]) -> None:
    """Make `folder` hold these files, by path, in place of those its listing names."""
    listing = folder / LISTING
    listed: set[str] = set()
    if listing.exists():
        try:
            listed = set(json.loads(listing.read_text(encoding="utf-8"))["files"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{listing} must be the listing that was written, got {error}; remove "
                f"{folder}, which is made anew"
            ) from None
    if not listed and not contents:
        return
    folder.mkdir(parents=True, exist_ok=True)
    # What is to be removed stays listed until it is: a kill here leaves no stray file.
    files.write_json(listing, {"files": sorted({*listed, *contents, ASIDE})})
    for name, data in contents.items():
        path = folder / name
        if path.exists() and path.read_bytes() == data:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_bytes(folder / ASIDE, data)
        os.replace(folder / ASIDE, path)
        files.sync_folder(path.parent)
    for name in listed - set(contents):
        path = folder / name
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # absent, or others' files are in it
            for parent in path.relative_to(folder).parents:
                if parent.name:
                    (folder / parent).rmdir()
    if contents:
        files.write_json(listing, {"files": sorted(contents)})
        return
    listing.unlink()
    with contextlib.suppress(OSError):  # others' files are in it
        folder.rmdir()
