"""What a study trains next: known points, points that a search adds, chosen ones again.

Whatever follows from results is computed from the runs that have ended, so that the
same command plans the same runs, stopped or not.
"""

import dataclasses
from collections.abc import Collection, Sequence

from tfpipe.comparison import study, tuning
from tfpipe.comparison.labels import (
    configuration_labels,
    format_number,
    replicate_labels,
)
from tfpipe.comparison.results import read_results
from tfpipe.comparison.score import Score, score_runs
from tfpipe.comparison.study import CompareConfig, Point, find_finished, replicate
from tfpipe.comparison.tuning import Search
from tfpipe.training.config import RunConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
    """Configurations that differ in their learning rate alone, which is searched.

    Attributes:
        name: without a rate: "sgd", "sgd batch_size=8".
        config: one of them, with the study's seed.
        search: its rates at the start.
    """

    name: str
    config: RunConfig
    search: Search

    @property
    def best(self) -> str:
        """The name of the configuration that the search will choose."""
        return f"best of {self.name}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Design:
    """What a study is told before any result.

    Attributes:
        families: whose rate is searched.
        fixed: the other configurations, with the study's seed.
        replicates: how many a compared configuration has.
        tune: whether these are trained with fresh seeds once rates are chosen.
        vary_split: whether a replicate has a split of its own.
    """

    families: tuple[Family, ...]
    fixed: tuple[RunConfig, ...]
    replicates: int
    tune: bool
    vary_split: bool

    @property
    def starts(self) -> list[RunConfig]:
        """The configurations before any result, with the study's seed."""
        searched = [
            family.config.replace(learning_rate=rate)
            for family in self.families
            for rate in family.search.start
        ]
        return [*searched, *self.fixed]

    @property
    def candidates(self) -> list[RunConfig]:
        """What may be compared, before any result, in all replicates."""
        return replicate(self.starts, self.compared, self.vary_split)

    @property
    def tried(self) -> range:
        """Replicates that rates are chosen by."""
        return range(1 if self.tune else self.replicates)

    @property
    def compared(self) -> range:
        """Replicates that are compared: with --tune others than were chosen by."""
        return range(int(self.tune), int(self.tune) + self.replicates)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """The runs of a study as far as results tell.

    Attributes:
        runs: all, in the order of training; a later plan only adds to them.
        tuning: those that rates are chosen by and that aren't compared.
        compared: the others, as tables show them.
        lines: what was decided, for people; a later plan only adds to them.
        is_whole: whether no more runs will follow from results.
    """

    runs: tuple[RunConfig, ...]
    tuning: tuple[RunConfig, ...]
    compared: tuple[RunConfig, ...]
    lines: tuple[str, ...]
    is_whole: bool


def design_study(config: CompareConfig) -> Design:
    """Return what a study is told.

    Raises:
        ValueError: as `study.plan_points`, and for rates that can't be searched.
    """
    points = study.plan_points(config)
    is_tuned = config.study.tune
    names = configuration_labels([p.config for p in points], ("learning_rate",))
    grouped: dict[str, list[Point]] = {}
    for name, point in zip(names, points, strict=True):
        grouped.setdefault(name, []).append(point)
    searched = {
        name: members
        for name, members in grouped.items()
        if is_tuned or any(point.is_auto for point in members)
    }
    return Design(
        families=tuple(_family(name, members) for name, members in searched.items()),
        fixed=tuple(
            point.config
            for name, point in zip(names, points, strict=True)
            if name not in searched
        ),
        replicates=config.study.replicates,
        tune=is_tuned,
        vary_split=config.study.vary_split,
    )


def _family(name: str, members: Sequence[Point]) -> Family:
    """Return a family of the points of a search, or of the rates that were given."""
    config = members[0].config
    rates = tuple(sorted(point.config.optimizer.learning_rate for point in members))
    if len({point.is_auto for point in members}) > 1:
        given = [p.config.optimizer.learning_rate for p in members if not p.is_auto]
        raise ValueError(
            f"learning rates of {name} must be auto or numbers, got auto and "
            f"{', '.join(map(format_number, given))}; leave one of them out"
        )
    if len(rates) == 1:
        raise ValueError(
            f"learning rates of {name} must be several to tune, got "
            f"{format_number(rates[0])} alone; say --learning_rates=auto, or more rates"
        )
    if members[0].is_auto:
        # The middle rate is the centre itself.
        return Family(
            name=name, config=config, search=tuning.around(rates[len(rates) // 2])
        )
    return Family(name=name, config=config, search=Search(start=rates))


def plan_study(design: Design, trained: Collection[RunConfig] = ()) -> Plan:
    """Return all runs that follow from the results that there are.

    Args:
        design: the study.
        trained: runs that this command has trained: with --overwrite no others count.
    """
    # A set that keeps its order.
    runs = dict.fromkeys(replicate(design.starts, design.tried, design.vary_split))

    def scores(name: str, rates: Sequence[float]) -> list[Score] | None:
        asked = {
            rate: replicate([at(name, rate)], design.tried, design.vary_split)
            for rate in rates
        }
        everything = [run for group in asked.values() for run in group]
        runs.update(dict.fromkeys(everything))
        if not all(_has_ended(run, trained) for run in everything):
            return None
        return [score_runs(read_results(group)) for group in asked.values()]

    configs = {family.name: family.config for family in design.families}

    def at(name: str, rate: float) -> RunConfig:
        return configs[name].replace(learning_rate=rate)

    course = tuning.follow({f.name: f.search for f in design.families}, scores)
    is_whole = len(course.best) == len(design.families)
    tried = [at(name, rate) for name, rates in course.rates.items() for rate in rates]
    shown = replicate([*tried, *design.fixed], design.tried, design.vary_split)
    lines = [*_describe_splits(design), *course.lines]
    if not design.tune:
        return Plan(
            runs=tuple(runs),
            tuning=(),
            compared=tuple(shown),
            lines=tuple(lines),
            is_whole=is_whole,
        )
    chosen = [at(name, rate) for name, rate in course.best.items()]
    fresh = replicate(chosen, design.compared, design.vary_split)
    if chosen:
        seeds = sorted({run.run.seed for run in fresh})
        lines.append(
            f"trained again with fresh seeds, and compared: "
            f"{', '.join(replicate_labels(chosen))}; seed{_span(seeds)}"
        )
    return Plan(
        runs=(*runs, *fresh),
        tuning=tuple(shown),
        compared=tuple(fresh),
        lines=tuple(lines),
        is_whole=is_whole,
    )


def describe_rest(design: Design, plan: Plan) -> str:
    """Say what will follow from the results of the runs that are left."""
    words = "what comes next follows from their results"
    if any(family.search.centre is not None for family in design.families):
        words += ": more rates where the best is the lowest or highest"
    if design.tune and not plan.compared:
        num = len(design.families) * design.replicates
        joint = "; then " if ":" in words else ": "
        words += (
            f"{joint}{num} runs with fresh seeds, {design.replicates} of each of "
            f"{len(design.families)} best, each as long as one of these"
        )
    return words


def _has_ended(run: RunConfig, trained: Collection[RunConfig]) -> bool:
    own = run.replace(overwrite=False) if run in trained else run
    return find_finished(own) is not None


def _describe_splits(design: Design) -> list[str]:
    """Say which splits replicates have, where each has its own."""
    if not design.vary_split:
        return []
    data = design.starts[0].data
    seeds = [data.split_seed + number for number in design.compared]
    share = f"{data.validation_split:g} of" if data.validation_split else "as many of"
    as_stored = "" if data.validation_split else " as they were written with"
    return [
        f"each replicate has a split of its own, split_seed{_span(seeds)}, {share} the "
        f"records for validation{as_stored}"
    ]


def _span(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return f" {numbers[0]}"
    return f"s {numbers[0]} to {numbers[-1]}"
