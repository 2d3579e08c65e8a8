"""How a study was made, in the words of a paper, from its configurations and facts."""

from collections.abc import Iterable, Sequence
from typing import Any

from tfpipe.comparison import declaration
from tfpipe.comparison.document import Bullets, Section, Text
from tfpipe.comparison.findings import Findings
from tfpipe.comparison.labels import format_number
from tfpipe.comparison.results import RunResult, conditions_of, describe_machine

TITLE = "Methods"
SAME_IN_A_SEED = ("initial weights", "order of pictures")
"""Checks of the certificate."""
LIBRARIES = ("tfpipe", "tensorflow", "keras", "jax", "numpy")
INTERVALS = (
    "A run is the unit. Intervals are of 95\u00a0%: of means by Student's t, of rates "
    "by Clopper and Pearson, of single evaluations by Wilson; times to an accuracy are "
    "medians by Kaplan and Meier, runs that never reached it censored at their end; "
    "those that diverged or stopped early count as never reaching it."
)


def describe(found: Findings) -> Section:
    """Return what a reader needs to judge or repeat the study."""
    analysis, study = found.analysis, found.study
    runs = [
        run
        for configuration in analysis.configurations
        for run in configuration.runs
        if run.facts
    ]
    if not runs:
        return Section(TITLE, [Text("No run has begun.")])
    optimizers = [
        f"{configuration.label}: {_optimizer(begun[0].facts)}"
        for configuration in analysis.configurations
        if (begun := [run for run in configuration.runs if run.facts])
    ]
    before = [_data(runs), _model(runs), _training(runs)]
    if all(c.matches for c in found.checks if c.name in SAME_IN_A_SEED):
        before.append(
            "Runs of one seed start from the same weights and see the same pictures in "
            "the same order."
        )
    declared = declaration.last_declared(study)
    if declared and "search" in declared:
        before.append(_search(declared["search"]))
    after = [_machine(runs), _statistics(analysis.declared), _declared(study)]
    return Section(
        TITLE,
        [
            Text(" ".join(before)),
            Text("Optimizers, with every argument that acts:"),
            Bullets(optimizers),
            Text(" ".join(after)),
        ],
    )


def _data(runs: Sequence[RunResult]) -> str:
    facts = [run.facts for run in runs]
    classes = _or(run.num_classes for run in runs)
    sizes = _or(
        ", ".join(f"{size:,} {name}" for name, size in fact["split_sizes"].items())
        for fact in facts
        if "split_sizes" in fact
    )
    trained = _or(f"{fact['train_examples']:,}" for fact in facts)
    prints = _or(fact["dataset_fingerprint"][:12] for fact in facts)
    conditions = [conditions_of(run) for run in runs]
    splits = sorted({(c["validation_split"], c["split_seed"]) for c in conditions})
    drawn = [
        f"validation_split={share:g}, split_seed={seed}"
        if share
        else f"split_seed={seed}"
        for share, seed in splits
        if share or seed
    ]
    words = ["that of the records"] * (len(drawn) < len(splits))
    words += [f"drawn anew ({'; '.join(drawn)})"] * bool(drawn)
    sides = _or(f"{c['image_size']} x {c['image_size']}" for c in conditions)
    return (
        f"Data: {classes} classes, pictures: {sizes or 'of unknown number'}; the split "
        f"is {' or '.join(words)}; trained on {trained} an epoch; dataset fingerprint "
        f"{prints}. "
        f"Pictures are resized to {sides} pixels "
        f"({_or(c['resize'] for c in conditions)}), augmentation: "
        f"{_or(c['augment'] for c in conditions)}."
    )


def _model(runs: Sequence[RunResult]) -> str:
    models = _or(
        f"{run.settings['model']}"
        + (f" ({number:,} parameters)" if (number := _parameters(run)) else "")
        for run in runs
    )
    weights = _or(
        "random weights" if run.settings["weights"] == "none" else "trained weights"
        for run in runs
    )
    precision = _or(run.facts["precision"] for run in runs)
    return f"Model: {models} from {weights}, in {precision}."


def _parameters(run: RunResult) -> int:
    return int(run.facts.get("num_parameters", 0))


def _training(runs: Sequence[RunResult]) -> str:
    conditions = [conditions_of(run) for run in runs]
    seeds = sorted({run.settings["seed"] for run in runs})
    of = f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
    cuts = [run.settings["max_steps"] for run in runs]
    cut = _or(f"after {steps:,} steps" if steps else "nowhere" for steps in cuts)
    return (
        f"Training: batches of {_or(c['batch_size'] for c in conditions)}, "
        f"{_or(run.settings['epochs'] for run in runs)} epochs, "
        f"{f'cut off {cut}, ' if any(cuts) else ''}early stopping "
        f"{_or(run.identity['early_stopping'] for run in runs)}, class weights "
        f"{_or(c['class_weight'] for c in conditions)}; {len(runs)} runs of {of}."
    )


def _optimizer(facts: dict[str, Any]) -> str:
    """Return an optimizer's class and arguments, without those that are off."""
    if "optimizer" not in facts:
        return "its arguments weren't written down"
    return _call(facts["optimizer"])


def _call(value: dict[str, Any]) -> str:
    arguments = dict(value["config"])
    arguments.pop("name", None)
    if not arguments.get("use_ema"):
        arguments.pop("ema_momentum", None)
    words = [
        f"{name}={_argument(argument)}"
        for name, argument in sorted(arguments.items())
        if argument is not None and argument is not False
    ]
    return f"{value['class_name']}({', '.join(words)})"


def _argument(value: Any) -> str:
    if isinstance(value, dict) and "class_name" in value:
        return _call(value)
    return format_number(value)


def _machine(runs: Sequence[RunResult]) -> str:
    devices = _or(run.facts.get("device", run.facts["machine"]["cpu"]) for run in runs)
    machines = _or(describe_machine(run.facts) for run in runs)
    pythons = _or(run.facts["machine"].get("python", "") for run in runs)
    versions = [
        f"{name} {found}"
        for name in LIBRARIES
        if (found := _or(run.facts["versions"].get(name, "") for run in runs))
        and found != "not installed"
    ]
    if pythons:
        versions.insert(0, f"Python {pythons}")
    if devices != _or(run.facts["machine"]["cpu"] for run in runs):
        machines = f"{devices}, on {machines}"
    return f"Hardware: {machines}. Software: {', '.join(versions)}."


def _statistics(declared: dict[str, Any]) -> str:
    return (
        f"Statistics: {declaration.METRIC} at {declaration.METRIC_AT}; "
        f"{declaration.TEST} ({len(declared['comparisons'])}), at a level of "
        f"{declared['alpha']:g}. {INTERVALS}"
    )


def _search(rule: dict[str, Any]) -> str:
    """Say how learning rates were chosen."""
    is_tuned = rule["compared_on"] == "fresh seeds"
    by = "runs that are not compared" if is_tuned else "the compared runs"
    seeds = ", ".join(map(str, rule["seeds"]))
    return (
        f"Learning rates were chosen by {by}, of seed{'s' * (len(rule['seeds']) > 1)} "
        f"{seeds}; rule: {rule['score']}."
    )


def _declared(study: dict[str, Any] | None) -> str:
    if study is None:
        return "Nothing was declared before the runs; every pair found is compared."
    entry = (study["changes"] or [study])[-1]
    begun = entry["runs_begun_before"]
    words = f"Declaration {entry['sha256']} was made "
    words += f"when {begun} of its runs had begun" if begun else "before its first run"
    if study["changes"]:
        words += (
            f"; it is change {len(study['changes'])} of what was declared first, in "
            f"{', '.join(entry['different'])}"
        )
    return f"{words}."


def _or(values: Iterable[Any]) -> str:
    """Return values that runs have, each once, in the order of the runs."""
    return " or ".join(dict.fromkeys(str(value) for value in values))
