"""Validation pictures that configurations answer otherwise, and suspicious labels.

Answers are those at the last evaluation of runs that left their start: before that an
answer says nothing of its picture.
"""

import dataclasses
import functools
import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tfpipe.comparison.analysis import Analysis
from tfpipe.comparison.configurations import Configuration
from tfpipe.comparison.document import Part, Picture, Pictures, Section, Table, Text
from tfpipe.data.manifest import read_manifest
from tfpipe.data.overview import parts
from tfpipe.data.records import Record
from tfpipe.data.streaming.store import RecordStore
from tfpipe.training import run_folder

TITLE = "Pictures"
SUSPECTS = "label_suspects.txt"
MOST_SUSPECTS = 100
LEAST_CONFIDENCE = 0.9
"""Mean probability of the wrong class from which a label is suspected."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answers:
    """What the runs of one configuration answer, on the mean over them.

    Attributes:
        label: the configuration's.
        source_ids: int64 [n].
        labels: int64 [n].
        true_probabilities: of the true class, float64 [n].
        top_probabilities: of the class answered, float64 [n].
        answers: the class that the first run answers, int64 [n].
        all_wrong: whether all runs give that answer, and it is wrong, bool [n].
        num_runs: how many they are.
    """

    label: str
    source_ids: NDArray[np.int64]
    labels: NDArray[np.int64]
    true_probabilities: NDArray[np.float64]
    top_probabilities: NDArray[np.float64]
    answers: NDArray[np.int64]
    all_wrong: NDArray[np.bool_]
    num_runs: int


@dataclasses.dataclass(frozen=True)
class Found:
    """What there is to look at.

    Attributes:
        section: of the report.
        suspects: the keys of suspected labels, the surest first.
        why_none: where pictures were asked for and there are none; else "".
    """

    section: Section
    suspects: Sequence[str]
    why_none: str = ""


def find(analysis: Analysis, records_dir: Path, num_pictures: int) -> Found:
    """Return what to look at among the validation pictures.

    Args:
        analysis: of the runs.
        records_dir: the records they were trained on; others are refused in a word.
        num_pictures: at most so many of each kind are shown; 0: none, and no suspects.
    """
    if not num_pictures:
        return Found(Section(TITLE, [], is_appendix=True), ())
    best = next(iter(analysis.ranked), None)
    known = [answers for c in analysis.configurations if (answers := read_answers(c))]
    reason = _why_none(analysis, known, records_dir)
    if reason:
        section = Section(TITLE, [Text(reason)], is_appendix=True)
        return Found(section, (), why_none=reason)
    store = RecordStore(read_manifest(records_dir), fetch="file")
    record = functools.cache(store.record)
    names = store.manifest.class_names
    found = _disagreements(known, names, record, num_pictures)
    suspects: list[str] = []
    for answers in known:
        if best and answers.label == best.label:
            rows = _suspected(answers)[:MOST_SUSPECTS]
            suspects = [record(int(answers.source_ids[row])).file_name for row in rows]
            found += _wrong(answers, rows, names, record, num_pictures)
    return Found(Section(TITLE, found, is_appendix=True), suspects)


def _why_none(analysis: Analysis, known: Sequence[Answers], records_dir: Path) -> str:
    prints = {
        run.facts["dataset_fingerprint"]
        for configuration in analysis.configurations
        for run in configuration.ended
    }
    if not known and any(map(_has_answers, analysis.configurations)):
        return (
            "No pictures: the runs of a configuration have other validation pictures "
            "each, or half a file of predictions."
        )
    if not known:
        return "No pictures: no run that left its start has stored predictions."
    try:
        fingerprint = read_manifest(records_dir).fingerprint
    except ValueError as error:
        return f"No pictures: {error}"
    if prints != {fingerprint}:
        return (
            f"No pictures: the records in {records_dir} aren't those of the runs "
            f"(fingerprint {fingerprint[:12]}, not "
            f"{', '.join(sorted(other[:12] for other in prints))})."
        )
    return ""


def read_answers(configuration: Configuration) -> Answers | None:
    """Return the answers of a configuration, None where it has none to go by."""
    found = []
    for path in _predictions(configuration):
        try:
            with np.load(path) as arrays:
                found.append({name: arrays[name] for name in arrays.files})
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            return None  # half a file; what it would have said is unknown
    ids = [arrays["source_id"] for arrays in found]
    if not found or any(not np.array_equal(ids[0], other) for other in ids):
        return None
    labels = found[0]["label"].astype(np.int64)
    answers = [arrays["top_classes"][:, 0].astype(np.int64) for arrays in found]

    def mean(columns: list[NDArray[np.float16]]) -> NDArray[np.float64]:
        result: NDArray[np.float64] = np.mean(columns, axis=0, dtype=np.float64)
        return result

    return Answers(
        label=configuration.label,
        source_ids=ids[0].astype(np.int64),
        labels=labels,
        true_probabilities=mean([arrays["true_probability"] for arrays in found]),
        top_probabilities=mean([arrays["top_probabilities"][:, 0] for arrays in found]),
        answers=answers[0],
        all_wrong=np.all([answer == answers[0] for answer in answers], axis=0)
        & (answers[0] != labels),
        num_runs=len(found),
    )


def _has_answers(configuration: Configuration) -> bool:
    return bool(_predictions(configuration))


def _predictions(configuration: Configuration) -> list[Path]:
    """Return the last predictions of the runs that left their start."""
    paths = [
        run.folder / run_folder.PREDICTIONS / f"step-{run.final['step']}.npz"
        for run in configuration.ended
        if run.folder and run.escape
    ]
    return [path for path in paths if path.is_file()]


def _suspected(answers: Answers) -> list[int]:
    """Return the rows that all runs give one wrong answer to, the surest first."""
    sure = answers.top_probabilities >= LEAST_CONFIDENCE
    rows = np.flatnonzero(answers.all_wrong & sure)
    order = np.argsort(-answers.top_probabilities[rows], kind="stable")
    return [int(row) for row in rows[order]]


def _disagreements(
    known: Sequence[Answers],
    names: Sequence[str],
    record: Callable[[int], Record],
    num_pictures: int,
) -> list[Part]:
    same = [a for a in known if np.array_equal(a.source_ids, known[0].source_ids)]
    if len(same) < 2:
        return [Text("No two configurations left their start: none to disagree.")]
    table = np.stack([answers.true_probabilities for answers in same])
    spread = table.max(axis=0) - table.min(axis=0)
    pictures = []
    for row in np.argsort(-spread, kind="stable")[:num_pictures]:
        high, low = same[int(table[:, row].argmax())], same[int(table[:, row].argmin())]
        shown = record(int(same[0].source_ids[row]))
        words = (
            f"{shown.file_name}: {names[shown.label]}, "
            f"{high.true_probabilities[row]:.3f} by {high.label}, "
            f"{low.true_probabilities[row]:.3f} by {low.label}"
        )
        pictures.append(_picture(shown, words))
    return [
        Text(
            "Validation pictures that configurations disagree on most: key, class, and "
            "the highest and lowest probability that one gives to that class, on the "
            "mean over its runs that left their start."
        ),
        Pictures(pictures),
    ]


def _wrong(
    answers: Answers,
    rows: Sequence[int],
    names: Sequence[str],
    record: Callable[[int], Record],
    num_pictures: int,
) -> list[Part]:
    runs = f"{answers.num_runs} run{'s' * (answers.num_runs > 1)}"
    if not rows:
        return [
            Text(
                f"No picture is answered wrongly by {runs} of {answers.label} with a "
                f"probability of {LEAST_CONFIDENCE:g} or more."
            )
        ]
    pictures: list[Picture] = []
    cells = []
    for row in rows:
        shown = record(int(answers.source_ids[row]))
        label, answer = names[shown.label], names[int(answers.answers[row])]
        probability = f"{answers.top_probabilities[row]:.3f}"
        cells.append([shown.file_name, label, answer, probability])
        if len(pictures) < num_pictures:
            words = f"{shown.file_name}: {label}, answered {answer} at {probability}"
            pictures.append(_picture(shown, words))
    return [
        Text(
            f"What {answers.label}, the best configuration, answers wrongly and most "
            f"surely in {runs}: look at the labels first. {SUSPECTS} lists the keys; "
            "without the right ones it is a list for make_records --exclude."
        ),
        *([Pictures(pictures)] if pictures else []),
        Table(
            ["key", "label", "answered", "probability"],
            cells,
            "Label suspects: every run gives the same wrong answer; its mean "
            "probability.",
        ),
    ]


def _picture(record: Record, words: str) -> Picture:
    jpeg, width, height = parts.small_jpeg(record)
    return Picture(jpeg=jpeg, width=width, height=height, words=words)


def suspects_text(keys: Sequence[str]) -> str:
    """Return the text of a file that make_records --exclude reads."""
    return "".join(f"{_line(key)}\n" for key in keys)


def _line(key: str) -> str:
    """Return a key as it is, or as JSON where a line of text can't be it."""
    if key.splitlines() == [key.strip()] and not key.startswith('{"key": '):
        return key
    return json.dumps({"key": key}, ensure_ascii=False)
