"""What a report says, the answer first: an analysis as a document."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

from tfpipe.comparison import answer as study_answer
from tfpipe.comparison import (
    appendix,
    banners,
    certificate,
    claims,
    declaration,
    progression,
    stage_content,
    statistics,
)
from tfpipe.comparison.analysis import Analysis
from tfpipe.comparison.cells import (
    LEAST_FOR_INTERVAL,
    NOTHING,
    format_rate,
    format_spread,
    format_steps,
)
from tfpipe.comparison.certificate import Check
from tfpipe.comparison.configurations import Configuration, TargetTime
from tfpipe.comparison.document import (
    Bullets,
    Command,
    Document,
    Figure,
    Part,
    Section,
    Table,
    Text,
)
from tfpipe.comparison.findings import Findings
from tfpipe.comparison.results import RunResult
from tfpipe.training import stages

PERHAPS, DIVERGED = "perhaps", "diverged"


def build_document(found: Findings) -> Document:
    """Return the report of a study."""
    analysis, checks, study = found.analysis, found.checks, found.study
    parts = found.parts
    answer = study_answer.find_answer(analysis, checks, found.tuned)
    sections = [
        _answer_section(answer),
        _table_section(analysis),
        _targets_section(analysis),
        _comparison_section(analysis),
        stage_content.describe_stages(analysis),
        _claims_section(found),
        _declared_section(study),
        _certificate_section(checks),
        appendix.tuning(found.tuned),
        appendix.undeclared(parts.undeclared),
        appendix.runs(analysis),
        appendix.matrix(analysis),
        appendix.sensitivity(analysis),
    ]
    return Document(
        title=_title(analysis),
        banners=banners.list_banners(found),
        sections=[section for section in sections if section and section.parts],
    )


def _title(analysis: Analysis) -> str:
    names = [c.label for c in analysis.configurations]
    if not names:
        return "A study without runs"
    if len(names) > 4:
        optimizers = {
            c.runs[0].settings["optimizer"]: None for c in analysis.configurations
        }
        return f"{len(names)} configurations of {', '.join(optimizers)}"
    return ", ".join(names)


def _answer_section(answer: study_answer.Answer) -> Section:
    parts: list[Part] = [Text(answer.headline)]
    if answer.command:
        parts.append(Command(answer.command))
    if answer.beside:
        parts.append(Bullets(answer.beside))
    if answer.rates:
        parts += [Text("How much tuning each needs:"), Bullets(answer.rates)]
    if answer.doubts:
        parts += [Text("What would change this:"), Bullets(answer.doubts)]
    return Section("Answer", parts)


def _table_section(analysis: Analysis) -> Section | None:
    if not analysis.configurations:
        return None
    rows = [_row(c) for c in analysis.configurations]
    left_out = set()
    if not any(c.num_unconfirmed for c in analysis.configurations):
        left_out.add(PERHAPS)
    if not any(c.num_diverged for c in analysis.configurations):
        left_out.add(DIVERGED)
    if not any(c.escaped_test_best for c in analysis.configurations):
        left_out |= {"test at final", "test at best"}
    columns = [name for name in rows[0] if name not in left_out]
    ended = [run for c in analysis.configurations for run in c.ended]
    caption = (
        "Runs that left their start with the exact 95 % interval of the rate, and the "
        "median step by Kaplan and Meier; validation accuracy of those that did, at "
        "the last and at the best epoch; of all at the last. Means with their 95 % "
        f"interval by Student's t, of fewer than {LEAST_FOR_INTERVAL} runs with the "
        "lowest and highest."
    )
    if PERHAPS in columns:
        caption += (
            " Perhaps: further runs, above their start at the last evaluation alone."
        )
    cells = [[row[name] for name in columns] for row in rows]
    return Section(
        "Configurations",
        [
            Table(columns, cells, caption + _describe_noise(ended), is_main=True),
            Figure(
                "val_accuracy",
                "Validation accuracy: each run thin, the median of each configuration "
                "thick.",
            ),
        ],
    )


def _describe_noise(ended: Sequence[RunResult]) -> str:
    """Say what chance gives, and what diverged runs count as, "" without runs."""
    if not ended:
        return ""
    run = max(ended, key=lambda run: run.majority_share)
    share, num = run.majority_share, run.num_validation
    low, high = statistics.wilson(round(share * num), num)
    at_most = len({run.majority_share for run in ended}) > 1
    words = (
        f" The largest class is {'at most ' if at_most else ''}{share:.4f} of {num:,} "
        f"validation pictures; an accuracy like that is known to {low:.4f} to "
        f"{high:.4f} (Wilson, 95 %)."
    )
    if any(run.status == "diverged" for run in ended):
        words += " A run that diverged counts with the largest class's share."
    return words


def _row(configuration: Configuration) -> dict[str, str]:
    c = configuration
    seconds = f"{c.train_seconds.mean:,.0f}" if c.train_seconds.values else NOTHING
    return {
        "configuration": c.label,
        "left its start": format_rate(c.escaped),
        PERHAPS: str(c.num_unconfirmed),
        DIVERGED: str(c.num_diverged),
        "median step": format_steps(c.escape.median) if c.ended else NOTHING,
        "final of those": format_spread(c.escaped_final),
        "best of those": format_spread(c.escaped_best),
        "test at final": format_spread(c.escaped_test_final),
        "test at best": format_spread(c.escaped_test_best),
        "final of all": format_spread(c.final),
        "train seconds": seconds,
    }


def _targets_section(analysis: Analysis) -> Section | None:
    """Return when runs came how far, on two clocks."""
    if not analysis.ranked:
        return None
    title = "Time to accuracies"
    reached = [
        index
        for index in range(len(stages.TARGETS))
        if any(c.targets[index].num_reached for c in analysis.ranked)
    ]
    if not reached:
        words = "No run came a tenth of the way from the majority share to 1."
        return Section(title, [Text(words)])
    columns = ["configuration"]
    for index in reached:
        target = max((c.targets[index] for c in analysis.ranked), key=_accuracy)
        columns.append(f"{target.share:.0%}: {target.accuracy:.4f}")
    steps = [
        [c.label, *(_time(c.targets[i], c.targets[i].median_steps) for i in reached)]
        for c in analysis.ranked
    ]
    seconds = [
        [
            c.label,
            *(_time(c.targets[i], c.targets[i].median_train_seconds) for i in reached),
        ]
        for c in analysis.ranked
    ]
    caption = (
        "Median steps to shares, fixed beforehand, of the way from the majority share "
        "to 1, by Kaplan and Meier, and how many runs came there; - is a median that "
        "wasn't reached. The others are censored at their end, or never come there "
        "where they diverged or stopped early. Shares that no run reached are left out."
    )
    parts: list[Part] = [
        Table(columns, steps, caption),
        Table(
            columns,
            seconds,
            "The same in seconds of training; a run that took all its steps is watched "
            "to the end, however fast they were.",
        ),
    ]
    return Section(title, parts)


def _accuracy(target: TargetTime) -> float:
    return target.accuracy


def _time(target: TargetTime, median: float) -> str:
    time = NOTHING if math.isinf(median) else f"{median:,.0f}"
    return f"{time} ({target.num_reached}/{target.of})"


def _comparison_section(analysis: Analysis) -> Section | None:
    if not analysis.comparisons or not analysis.ranked:
        return None
    alpha = analysis.declared["alpha"]
    baseline = analysis.declared["baseline_run"]
    label = baseline or analysis.ranked[0].label
    found = study_answer.against(analysis, label)
    if not found:
        return None
    what = "the baseline" if baseline else "the best"
    count = len(analysis.declared["comparisons"])
    kind = "declared comparison" if analysis.is_declared else "pair"
    over = f"all {count} {kind}s" if count > 1 else f"the one {kind}"
    return Section(
        f"Compared with {what}, {label}",
        [
            Bullets([study_answer.describe_comparison(c, alpha) for c in found]),
            Text(
                "Distinguishable is what the paired sign-flip test over replicates "
                f"says after Holm's correction over {over}, at {alpha:g}. It asks "
                "whether two are the same: one that mostly wins by little and seldom "
                "loses by much is told apart, too. Intervals describe."
            ),
        ],
    )


def _claims_section(found: Findings) -> Section | None:
    answers = claims.answer_claims(found.analysis, found.tuned)
    if not answers:
        return None
    return Section(
        "What the original experiment concluded",
        [
            Text(
                "A notebook that trained VGG16 on cats and dogs for five epochs, by "
                "rmsprop, sgd and adam at two rates, once each, raised these "
                "questions. What the runs of this study say:"
            ),
            Bullets([f"{claim.question} {claim.answer}" for claim in answers]),
        ],
    )


def _declared_section(study: dict[str, Any] | None) -> Section:
    if study is None:
        return Section(
            "What was declared",
            [
                Text(
                    "Nothing: these runs have no study.json. Every pair is compared, "
                    "which is decided after the fact."
                )
            ],
        )
    first = study["declared"]
    begun = study["runs_begun_before"]
    when = "before its first run"
    if begun:
        when = f"after {banners.count_begun(study)} had begun"
    num, epochs = len(first["configurations"]), first["epochs"]
    parts: list[Part] = [
        Text(
            f"Declared {when}, {study['time']}, sha256 {study['sha256'][:16]}: "
            f"{num} configuration{'s' * (num != 1)}, "
            f"seed{'s' * (len(first['seeds']) != 1)} "
            f"{', '.join(map(str, first['seeds']))}, {epochs} "
            f"epoch{'s' * (epochs != 1)}, metric "
            f"{first['metric']} at {first['metric_at']}, {first['test']}."
        )
    ]
    power = declaration.describe_power((study["changes"] or [study])[-1]["declared"])
    if power:
        parts.append(Text(f"{power[0].upper()}{power[1:]}."))
    if study["changes"]:
        parts += [
            Text("Changed since:"),
            Bullets(
                [
                    f"{change['time']}, with "
                    f"{progression.count_runs(change['runs_begun_before'])} begun: "
                    f"{'; '.join(_changes(before['declared'], change))}; reason"
                    f"{_when(change)}: {change['reason'] or 'none given'}"
                    for before, change in itertools.pairwise([study, *study["changes"]])
                ]
            ),
        ]
    return Section("What was declared", parts)


def _when(change: dict[str, Any]) -> str:
    """Return when the reason of a change was given, "" where it was with the change."""
    return f", given {change['reason_time']}" if "reason_time" in change else ""


def _changes(before: dict[str, Any], change: dict[str, Any]) -> list[str]:
    """Return what a change asks otherwise, with the values that fit into a line."""
    lines = []
    for name in change["different"]:
        old, new = before.get(name), change["declared"].get(name)
        if name == "configurations":
            gone = [label for label in old or () if label not in (new or ())]
            come = [label for label in new or () if label not in (old or ())]
            words = [f"without {', '.join(gone)}"] * bool(gone)
            words += [f"with {', '.join(come)}"] * bool(come)
            lines.append(f"{name} {' and '.join(words) or 'of other settings'}")
        elif isinstance(old, (dict, type(None))) or name == "comparisons":
            lines.append(name)
        elif isinstance(old, list):
            texts = (", ".join(map(str, values or ())) for values in (old, new))
            lines.append(f"{name} {' to '.join(texts)}")
        else:
            lines.append(f"{name} {old} to {new}")
    return lines


def _certificate_section(checks: Sequence[Check]) -> Section:
    if not checks:
        return Section("Certificate", [Text("No run has begun: nothing is known.")])
    different = [str(c) for c in checks if c.is_brand]
    trials = [c for c in checks if c.name == certificate.TRIALS and not c.matches]
    factors = [
        f"{c.name}: {', '.join(c.groups)}"
        for c in checks
        if c.is_factor and not c.matches and c not in trials
    ]
    parts: list[Part] = []
    if different:
        parts += [Text("Runs differ in, and mustn't:"), Bullets(different)]
    else:
        parts.append(Text("Nothing that must match differs."))
    if factors:
        parts += [Text("What the study is about:"), Bullets(factors)]
    parts += [
        Text(f"More trials find a better best; here they differ: {check}.")
        for check in trials
    ]
    words = [f"{c.name}={next(iter(c.groups))}" for c in checks if c.matches]
    parts += [Text(f"All runs share: {', '.join(words)}.")]
    return Section("Certificate", parts)
