import pytest

from tfpipe.comparison import page, results
from tfpipe.comparison.document import Bullets, Command, Document, Section, Text


def test_the_notebook_as_a_table(notebook_runs):
    rows = [page.table_row(result) for result in results.read_results(notebook_runs)]
    assert rows[1] == [
        "adam 1e-4",
        "0.6858",
        "0.6858 (5)",
        "0.5902",
        "(1172, 1758]",
        "95",
        "done",
    ]
    assert [row[4] for row in rows] == [
        "(0, 586]",
        "(1172, 1758]",
        "not left its start",
        "not left its start",
    ]


def test_broken_and_shortened_runs_are_branded(write_run):
    runs = [
        write_run([0.6], facts={"shortened": ["6,000 of 18,750 train examples"]}),
        write_run([], optimizer="sgd", status="diverged", reason="loss is nan"),
        write_run([0.5, 0.9], optimizer="adam", val_loss=[0.7, 1e6]),
    ]
    shortened, diverged, exploded = map(page.table_row, results.read_results(runs))
    assert shortened[-1] == "done; 6,000 of 18,750 train examples"
    assert diverged == ["sgd 1e-4", *["-"] * 5, "diverged: loss is nan"]
    assert exploded[3] == "1e+06"
    assert exploded[4] == "perhaps at 1172, its last"


def test_what_would_act_on_a_terminal_is_spelt_out(write_run, capsys):
    ansi = "\x1b[31mred"
    facts = {"versions": {"keras": ansi}, "shortened": [ansi]}
    [run] = results.read_results(
        [write_run([0.6], status="failed", reason=ansi, facts=facts)]
    )
    page.print_page([run])
    section = Section("Answer", [Text(ansi), Bullets([ansi]), Command(ansi)])
    page.print_answer(Document(title="", banners=[ansi], sections=[section]))
    output = capsys.readouterr().out
    assert "\x1b" not in output
    assert output.count("31mred") == 7


def test_long_epochs_have_whole_seconds(write_run):
    seconds = {"train_seconds": [1690.4, 3380.8], "eval_seconds": [10.0, 20.0]}
    run = write_run([0.6, 0.7], each=seconds)
    [result] = results.read_results([run])
    assert page.table_row(result)[5] == "1,700"


def test_markdown_has_one_row_a_run_and_escapes_its_bars(write_run):
    run = write_run([0.6], status="failed", reason="a|b")
    lines = page.markdown_table(results.read_results([run])).splitlines()
    assert len(lines) == 3
    assert "failed: a\\|b" in lines[2]
    assert len({len(line) for line in lines}) == 1


def test_conditions_say_what_differs_and_what_does_not(notebook_runs):
    differing, shared, seconds, start = page.conditions(
        results.read_results(notebook_runs)
    )
    assert differing == (
        "runs differ in: optimizer (rmsprop, adam, sgd), learning_rate (1e-4, 1e-3)"
    )
    for word in ("image_size=224", "precision=float32", "seed=0", "keras=3.15.1"):
        assert word in shared
    assert seconds.startswith("seconds an epoch: the median")
    assert "above 0.5290" in start


@pytest.mark.parametrize(
    ("is_terminal", "columns", "is_drawn"),
    [(False, 200, False), (True, 100, True), (True, 60, False)],
)
def test_a_wide_terminal_gets_a_drawn_table_and_all_else_markdown(
    notebook_runs, capsys, monkeypatch, is_terminal, columns, is_drawn
):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("FORCE_COLOR" if is_terminal else "NO_COLOR", "1")
    page.print_page(results.read_results(notebook_runs))
    output = capsys.readouterr().out
    assert output.startswith("| run") != is_drawn
    for word in ("rmsprop 1e-4", "0.7997", "(1172, 1758]", "not left its start"):
        assert word in output


def test_a_drawn_table_cuts_no_word_at_80_columns(write_run, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR", "1")
    facts = {"shortened": ["6,000 of 18,750 train examples"]}
    run = write_run([0.6] * 5, status="failed", reason="[disk] full", facts=facts)
    page.print_page(results.read_results([run]))
    output = capsys.readouterr().out
    assert "\N{HORIZONTAL ELLIPSIS}" not in output
    for word in ("failed:", "[disk]", "6,000", "18,750", "examples", "accuracy"):
        assert word in output
