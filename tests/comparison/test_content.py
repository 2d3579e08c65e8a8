"""A report as values: the answer first, and nothing that numbers don't carry."""

import pytest

from tfpipe.comparison import content, declaration, findings, results
from tfpipe.comparison.document import Bullets, Command, Table, Text

TIME = "2026-01-02T03:04:05+00:00"


def build(runs, study=None):
    return content.build_document(findings.gather(results.read_results(runs), study))


def study_of(runs, begun=0, changes=()):
    declared = declaration.declare(runs, "d" * 64)
    digest = declaration.digest(declared)
    entry = {"time": TIME, "runs_begun_before": begun, "sha256": digest}
    return {**entry, "declared": declared, "changes": list(changes)}


def section(document, title):
    return next(s for s in document.sections if s.title.startswith(title))


def tables(document, title):
    return [part for part in section(document, title).parts if isinstance(part, Table)]


def words(document):
    """All that a document says."""
    found = [document.title, *document.banners]
    for part in (part for s in document.sections for part in s.parts):
        if isinstance(part, Text):
            found.append(part.words)
        elif isinstance(part, Bullets):
            found += part.lines
        elif isinstance(part, Table):
            found += [
                part.caption,
                *part.columns,
                *(c for row in part.rows for c in row),
            ]
    return "\n".join(found)


def test_the_answer_comes_first(notebook_runs):
    document = build(notebook_runs)
    first = document.sections[0]
    assert first.title == "Answer"
    assert isinstance(first.parts[0], Text)
    assert first.parts[0].words.startswith("Train with rmsprop 1e-4: ")
    assert document.title == "rmsprop 1e-4, adam 1e-4, sgd 1e-4, adam 1e-3"
    assert [s.title for s in document.sections if s.is_appendix] == [
        "Every run",
        "Every pair",
        "Other thresholds of the stages",
    ]


def test_the_answer_is_a_command_where_runs_recorded_one(write_run):
    facts = {"command": "python -m tfpipe.train"}
    parts = build([write_run([0.6, 0.7], facts=facts)]).sections[0].parts
    assert parts[1] == Command(
        "python -m tfpipe.train --optimizer=rmsprop --learning_rate=0.0001"
    )


def test_the_stages_of_the_notebook(notebook_runs):
    *_, letters, _ = tables(build(notebook_runs), "Stage by stage")
    assert letters.rows == [
        ["rmsprop 1e-4", "DDDDD"],
        ["adam 1e-4", "CCDDD"],
        ["sgd 1e-4", "PPCCC"],
        ["adam 1e-3", "CCCCC"],
    ]
    [rows] = tables(build(notebook_runs), "Every run")
    assert [row[4:6] for row in rows.rows] == [
        ["(0, 586]", "DDDDD"],
        ["(1172, 1758]", "CCDDD"],
        ["no", "PPCCC"],
        ["no", "CCCCC"],
    ]


def test_the_main_table(notebook_runs):
    [table] = tables(build(notebook_runs), "Configurations")
    assert dict(zip(table.columns, table.rows[1], strict=True)) == {
        "configuration": "adam 1e-4",
        "left its start": "1/1 (0.03 to 1.00)",
        "median step": "1,758",
        "final of those": "0.6858",
        "best of those": "0.6858",
        "final of all": "0.6858",
        "train seconds": "460",
    }
    assert table.rows[3][1:6] == [
        "0/1 (0.00 to 0.98)",
        "not reached",
        "-",
        "-",
        "0.4899",
    ]
    # Wilson's interval of 3,188 of 6,250.
    assert "0.5101 of 6,250 validation pictures; " in table.caption
    assert "known to 0.4977 to 0.5225 (Wilson, 95 %)" in table.caption


def test_runs_that_may_have_left_in_the_last_epoch_are_counted_apart(write_replicates):
    study = write_replicates([0.5, 0.9], [0.6, 0.9], [0.5, 0.5], optimizer="adam")
    [table] = tables(build(study), "Configurations")
    assert table.columns[1:3] == ["left its start", "perhaps"]
    assert table.rows[0][1:3] == ["1/3 (0.01 to 0.91)", "1"]
    assert "Perhaps: further runs, above their start at the" in table.caption


def test_a_diverged_run_leaves_no_perhaps(write_replicates):
    study = write_replicates([0.5, 0.9], optimizer="adam", status="diverged")
    [table] = tables(build(study), "Configurations")
    assert "perhaps" not in table.columns


def test_equal_ranks_are_equal(notebook_runs):
    start, *_ = tables(build(notebook_runs), "Stage by stage")
    assert [row[0] for row in start.rows] == ["1", "2", "3", "3"]


def test_test_accuracy_stands_beside_validation(write_run):
    run = write_run([0.6, 0.7], each={"test_accuracy": [0.61, 0.69]})
    [table] = tables(build([run]), "Configurations")
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert (row["best of those"], row["test at best"]) == ("0.7000", "0.6900")


# Banners


def test_without_a_study_nothing_was_declared(notebook_runs):
    document = build(notebook_runs)
    assert document.banners == [
        "Still improving at the end: 2 of 4 runs; more epochs may change the order",
        "Not declared beforehand: there is no study.json beside the runs",
    ]
    assert section(document, "What was declared").parts == [
        Text(
            "Nothing: these runs have no study.json. Every pair is compared, which is "
            "decided after the fact."
        )
    ]
    assert "over all 6 pairs, at 0.05" in words(document)
    assert "declared comparison" not in words(document)


def test_with_one_it_was(notebook_runs):
    document = build(notebook_runs, study_of(notebook_runs))
    assert not [line for line in document.banners if "eclared" in line]
    first = section(document, "What was declared").parts[0].words
    assert first.startswith(f"Declared before its first run, {TIME}, sha256 ")
    assert "4 configurations, seed 0, 5 epochs, metric val_accuracy at" in first
    assert "over all 6 declared comparisons, at 0.05" in words(document)


@pytest.mark.parametrize(
    ("begun", "changed", "banners"),
    [
        (1, [], ["Declared after one of its runs had begun"]),
        (0, [0], []),
        (
            0,
            [3],
            ["Declared otherwise after 3 of its runs had begun: see What was declared"],
        ),
        (
            2,
            [4],
            [
                "Declared after 2 of its runs had begun",
                "Declared otherwise after 4 of its runs had begun: see What was "
                "declared",
            ],
        ),
    ],
)
def test_what_was_declared_late_is_said(write_run, begun, changed, banners):
    runs = [write_run([0.8, 0.8])]
    changes = [
        {**study_of(runs, count), "different": ["epochs"], "reason": ""}
        for count in changed
    ]
    document = build(runs, study_of(runs, begun, changes))
    assert document.banners == banners
    if changed:
        lines = section(document, "What was declared").parts[-1].lines
        assert lines[0].endswith("begun: epochs 5 to 5; reason: none given")


def test_other_thresholds_than_declared_are_said(write_run):
    runs = [write_run([0.8, 0.8])]
    study = study_of(runs)
    study["declared"]["stages"]["escape_errors"] = 2.0
    assert build(runs, study).banners == ["Drawn with other stages than were declared"]


def test_runs_that_differ_are_branded_above_all(write_run):
    runs = [write_run([0.8, 0.8]), write_run([0.8, 0.8], batch_size=8)]
    document = build(runs)
    assert document.banners[0].startswith("Not comparable: runs differ in batch_size")
    assert "Nothing that must match differs." not in words(document)


def test_runs_that_have_not_ended_are_said(write_run):
    """Of two configurations and two seeds declared one run ended and one failed."""
    run = write_run([0.8, 0.8])
    runs = [run, write_run([0.8], optimizer="adam", status="failed")]
    declared = study_of([r.replace(seed=seed) for r in runs for seed in (0, 1)])
    assert build(runs, declared).banners == [
        "Not all runs are there: 1 of 4 have ended"
    ]
    assert build(runs).banners[0] == "Not all runs are there: 1 of 2 have ended"


def test_shortened_runs_are_said(write_run):
    facts = {"shortened": ["6,000 of 18,750 train examples"]}
    banners = build([write_run([0.8, 0.8], facts=facts)]).banners
    assert "Less than a whole run: 6,000 of 18,750 train examples" in banners


# What is missing


def test_no_runs_at_all():
    document = content.build_document(findings.gather([], None))
    assert document.title == "A study without runs"
    assert [s.title for s in document.sections] == [
        "Answer",
        "What was declared",
        "Certificate",
    ]
    assert "No run has begun: nothing is known." in words(document)


@pytest.mark.parametrize("status", ["failed", "diverged"])
def test_runs_without_an_evaluation_keep_their_place(write_run, status):
    runs = [write_run([], status=status, optimizer=o) for o in ("adam", "sgd")]
    document = build(runs)
    [table] = tables(document, "Every run")
    assert [row[5] for row in table.rows] == [
        {"failed": "-", "diverged": "X"}[status]
    ] * 2


def test_one_run_alone(write_run):
    document = build([write_run([0.6, 0.7])])
    titles = [s.title for s in document.sections]
    assert not [title for title in titles if title.startswith("Compared with")]
    assert "It is the only configuration: nothing is compared." in words(document)


def test_a_baseline_without_runs_has_no_section(write_run):
    runs = [write_run([0.6, 0.7]), write_run([0.6, 0.8], optimizer="adam")]
    absent = runs[0].replace(optimizer="sgd")
    study = study_of(runs)
    study["declared"] = declaration.declare([*runs, absent], "d" * 64, "sgd 1e-4")
    titles = [s.title for s in build(runs, study).sections]
    assert not [title for title in titles if title.startswith("Compared with")]


def test_a_folder_of_the_first_format(write_run):
    """No looks at the start, no device, no command, seconds an epoch each."""
    runs = [
        write_run(curve, optimizer=optimizer, facts={"format_version": 1})
        for optimizer, curve in (("adam", [0.6, 0.7]), ("sgd", [0.5, 0.5]))
    ]
    document = build(runs)
    assert not [line for line in document.banners if "Not comparable" in line]
    assert "device=not recorded" in words(document)
    [command] = (p for p in document.sections[0].parts if isinstance(p, Command))
    assert command.line == (
        "python -m tfpipe.train --optimizer=adam --learning_rate=0.0001"
    )


@pytest.mark.parametrize(
    "values",
    [
        {"max_steps": 586},
        {"status": "diverged"},
        {"status": "stopped_early"},
        {"facts": {"validation_class_counts": [10, 20, 70], "class_names": ["a"] * 3}},
    ],
)
def test_no_number_is_missing_aloud(write_replicates, values):
    """nan and inf are no words of a report; nor are wrong plurals."""
    runs = write_replicates([0.8], [0.9], **values)
    runs += write_replicates([0.5], [0.4], optimizer="adam", **values)
    document = build(runs, study_of(runs))
    said = f" {words(document)} ".replace("\n", " ").replace("(", "( ")
    for word in (" nan", " inf", "None", " 1 runs", " 1 evaluations", " 1 replicates"):
        assert word not in said


def test_a_matrix_of_tables_is_whole(notebook_runs):
    document = build(notebook_runs, study_of(notebook_runs))
    for part in (part for s in document.sections for part in s.parts):
        if isinstance(part, Table):
            assert part.rows
            assert {len(row) for row in part.rows} == {len(part.columns)}


def test_replicates_whose_majority_differs_a_little(write_run):
    counts = ([3188, 3062], [3187, 3063])
    runs = [
        write_run(
            [0.8, 0.8],
            seed=seed,
            split_seed=seed + 1,
            facts={"validation_class_counts": counts[seed]},
        )
        for seed in (0, 1)
    ]
    [table] = tables(build(runs), "Configurations")
    assert len(table.rows) == 1
    assert "The largest class is at most 0.5101 of 6,250" in table.caption


def test_runs_of_other_seeds_than_declared_are_left_out(write_replicates):
    """More seeds until p is small would be more tries."""
    runs = [
        *write_replicates(*[[0.6, 0.8]] * 8),
        *write_replicates(*[[0.6, 0.7]] * 8, optimizer="sgd"),
    ]
    declared = declaration.declare([r for r in runs if r.run.seed < 2], "d" * 64)
    entry = {"time": "now", "runs_begun_before": 0, "sha256": "0" * 64}
    study = {**entry, "declared": declared, "changes": []}
    document = build(runs, study)
    line = (
        "Left out: 12 runs of configurations or seeds that are not, or no longer, "
        "declared, listed below"
    )
    assert line in document.banners
    assert not any("Shown to be worse" in str(s) for s in document.sections)


def test_seconds_of_a_shared_machine_are_branded(write_run):
    runs = [write_run([0.6, 0.7]), write_run([0.6, 0.7], seed=1, facts={"workers": 2})]
    line = "Seconds are those of a shared machine: 1 of 2 runs trained beside others"
    assert line in build(runs).banners


def test_a_configuration_that_was_not_declared_is_no_answer(write_replicates):
    """It is better than all, and a hundred more like it would have one that is."""
    asked = write_replicates([0.6, 0.7], [0.6, 0.7])
    declared = declaration.declare(asked, "d" * 64)
    study = {"time": TIME, "runs_begun_before": 0, "sha256": "0" * 64}
    study |= {"declared": declared, "changes": []}
    stray = write_replicates([0.9, 0.99], optimizer="lion")
    document = build([*asked, *stray], study)
    assert document.sections[0].parts[0].words.startswith("Train with rmsprop 1e-4: ")
    assert any(line.startswith("Left out: 1 run of ") for line in document.banners)
    [table] = tables(document, "Runs that are not declared")
    assert [row[:2] for row in table.rows] == [["lion 1e-4", "0"]]


def test_when_a_reason_came_later_is_said(write_run):
    runs = [write_run([0.6, 0.7], optimizer=name) for name in ("adam", "sgd")]
    change = {**study_of(runs[1:], 2), "reason": "seen", "reason_time": "later"}
    change["different"] = ["configurations"]
    document = build(runs, study_of(runs, 0, [change]))
    [line] = section(document, "What was declared").parts[-1].lines
    assert line.endswith("; reason, given later: seen")


def test_what_a_change_dropped_is_named(write_run):
    runs = [write_run([0.6, 0.7], optimizer=name) for name in ("adam", "sgd", "lion")]
    change = {**study_of(runs[1:], 3), "reason": "lion is better"}
    change["different"] = ["configurations", "comparisons"]
    document = build(runs, study_of(runs, 0, [change]))
    [line] = section(document, "What was declared").parts[-1].lines
    assert line.endswith(
        "with 3 runs begun: configurations without adam 1e-4; comparisons; reason: "
        "lion is better"
    )
    [table] = tables(document, "Runs that are not declared")
    assert [row[0] for row in table.rows] == ["adam 1e-4"]


def test_an_augmentation_that_is_a_factor_is_no_other_order(write_run):
    """A fingerprint of an order says how pictures were augmented, too."""
    prints = ("a" * 64, "b" * 64)
    runs = [
        write_run([0.6, 0.7], augment=augment, each={"order_fingerprint": [own] * 2})
        for augment, own in zip(([], ["flip"]), prints, strict=True)
    ]
    lines = build(runs, study_of(runs)).banners
    assert not [line for line in lines if "Not comparable" in line]


def test_a_run_that_went_on_alone_is_of_the_same_machine(write_run):
    facts = {"machine": {"cpu": "A CPU", "cores": 1}, "workers": 2}
    alone = {"machine": {"cpu": "A CPU", "cores": 2}, "workers": 1, "versions": {}}
    run = write_run([0.6, 0.7], facts={**facts, "sessions": [alone]})
    document = build([run])
    assert not [line for line in document.banners if "Not comparable" in line]
    assert "machine=A CPU with 2 cores" in words(document)


def test_what_is_not_compared_is_named_so_in_tables(write_run):
    runs = [write_run([0.6, 0.7], optimizer=name) for name in ("adam", "lion")]
    found = findings.gather(results.read_results(runs), study_of(runs[:1]))
    labels = [run.label for run in found.runs]
    assert labels == ["adam 1e-4", "not declared: lion 1e-4"]
