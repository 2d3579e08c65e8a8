"""The report's formats: what they make of odd names, the same bytes every time."""

import html.parser
import json
import re

import pytest

from tfpipe.comparison import (
    charts,
    findings,
    latex,
    markdown,
    plots,
    rendering,
    results,
)
from tfpipe.comparison import html as page
from tfpipe.comparison.document import (
    Bullets,
    Command,
    Document,
    Figure,
    Picture,
    Pictures,
    Section,
    Table,
    Text,
)
from tfpipe.training import run_folder

ODD = "<script>alert('x')</script>|_\u732b_&amp;\"\u2028\u202e$1$ #%^~{}\\`*[x](y)"
"""What a class, a run or a picture may be called."""
SHOWN = ODD.replace("\u2028", "\\u2028").replace("\u202e", "\\u202e")


def odd_document(*stems):
    parts = [
        Text(ODD),
        Bullets([ODD]),
        Command(ODD),
        Table([ODD, "n"], [[ODD, "1"]], ODD, is_main=True),
        *(Figure(stem, ODD) for stem in stems),
    ]
    pictures = Pictures([Picture(jpeg=b"jpeg", width=4, height=3, words=ODD)])
    return Document(
        title=ODD,
        banners=[ODD],
        sections=[Section(ODD, parts), Section(ODD, [pictures], is_appendix=True)],
    )


class Outline(html.parser.HTMLParser):
    """Collects a page's texts by tag, its scripts, and what its attributes name."""

    def __init__(self, text):
        super().__init__()
        self.open, self.texts, self.scripts, self.links = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.links += [v for name, v in attributes if name in ("src", "href")]
        assert not [name for name, _ in attributes if name.startswith("on")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] == ["script"]:
            self.scripts.append(data)
        elif data.strip():
            self.texts.append((self.open[-1], data))


@pytest.fixture
def odd_runs(write_run, make_analysis):
    """Two runs whose configurations have odd names."""
    runs = [write_run([0.5, 0.6], optimizer=name) for name in ("sgd", "adam")]
    return make_analysis(runs, [ODD, "adam"]).configurations


def test_html_shows_odd_names_and_runs_nothing_of_them(odd_runs):
    text = page.page(odd_document("val_accuracy"), odd_runs, {"val_accuracy": b"png"})
    outline = Outline(text)
    assert outline.open == []
    for tag in ("title", "h1", "h2", "p", "li", "code", "th", "bdi"):
        assert (tag, SHOWN) in outline.texts, tag
    data, program = outline.scripts
    assert program == charts.script()
    assert json.loads(data)["configurations"][0]["label"] == ODD
    assert "\u2028" not in text
    allowed = ("data:image/png;base64,", "data:image/jpeg;base64,", "#s")
    assert all(link.startswith(allowed) for link in outline.links)


def test_the_policy_lets_only_the_pages_own_program_run(odd_runs):
    text = page.page(odd_document(), odd_runs, {})
    [policy] = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "'sha256-" in policy.partition("script-src")[2]


def test_json_within_a_page_ends_no_script():
    text = charts.as_json({"a": "</script><!-- & \u2028\u2029"})
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == {"a": "</script><!-- & \u2028\u2029"}


def test_markdown_shows_odd_names():
    text = markdown.page(odd_document("val_accuracy"), "figures")
    escaped = (
        "\\<script>alert('x')\\</script>\\|\\_\u732b\\_\\&amp;\"\\\\u2028\\\\u202e"
        "\\$1\\$ #%^\\~{}\\\\\\`\\*\\[x](y)"
    )
    lines = text.splitlines()
    for line in (f"# {escaped}", f"**{escaped}**", f"## {escaped}", f"- {escaped}"):
        assert line in lines
    assert f"| {escaped} |" in text
    assert f"```console\n$ {SHOWN}\n```" in text
    assert "](figures/val_accuracy.png)" in text


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("val_accuracy", "val_accuracy"),
        ("_a_ b_", "\\_a\\_ b\\_"),
        ("3 < 4 & 5", "3 < 4 & 5"),
        ("# no title", "\\# no title"),
        ("- no item", "\\- no item"),
        ("1. no item", "1\\. no item"),
        ("a\nb", "a\\\\nb"),
    ],
)
def test_markdown_escapes_what_acts_and_nothing_else(text, escaped):
    assert markdown.escape(text, is_block=True) == escaped


def test_a_fence_is_longer_than_any_within():
    document = Document("t", [], [Section("s", [Command("a ```` b")])])
    assert "`````console\n$ a ```` b\n`````" in markdown.page(document, "figures")


def test_latex_sets_odd_names():
    escaped = latex.escape(ODD)
    assert escaped == (
        "\\textless{}script\\textgreater{}alert(\\textquotesingle{}x"
        "\\textquotesingle{})\\textless{}/script\\textgreater{}\\textbar{}\\_\u732b\\_"
        "\\&amp;\\textquotedbl{}\\textbackslash{}u2028\\textbackslash{}u202e\\$1\\$ "
        "\\#\\%\\textasciicircum{}\\textasciitilde{}\\{\\}\\textbackslash{}"
        "\\textasciigrave{}*[x](y)"
    )
    text = latex.page(odd_document())
    assert f"{escaped} & 1 \\\\" in text
    assert "\\begin{tabular}{lr}" in text
    assert "% Has letters beyond Latin" in text


@pytest.mark.parametrize(
    ("text", "escaped"),
    [("0.5 \u00b1 0.1", "0.5 $\\pm$ 0.1"), ("a--b-c", "a-{}-b-c")],
)
def test_latex_signs(text, escaped):
    assert latex.escape(text) == escaped


def test_a_row_in_brackets_is_no_argument_of_the_row_before():
    table = Table(["a"], [["[1, 2]"], ["*"]], is_main=True)
    text = latex.page(Document("t", [], [Section("s", [table])]))
    assert "\n{[}1, 2] \\\\\n{*} \\\\\n" in text


def test_tables_for_a_paper_say_what_they_must_be_read_with():
    table = Table(["a"], [["1"]], "Numbers.", is_main=True)
    document = Document("t", ["Not comparable: 5 % differ"], [Section("s", [table])])
    caption = r"\caption{Numbers. \textbf{Not comparable: 5 \% differ.}}"
    assert caption in latex.page(document)


def test_numbers_stand_flush_right():
    table = Table(
        ["name", "n", "interval", "status", "p"],
        [["1", "1,000", "(0, 586]", "3 done; ok", "-"], ["2", "-3", "-", "no", "<0.1"]],
    )
    assert table.are_numbers == [False, True, True, False, True]


def write(runs, folder, **options):
    found = results.read_results(runs)
    return rendering.write_report(findings.gather(found, None), folder, **options).paths


def test_a_report_is_written_whole_and_again_with_the_same_bytes(
    notebook_runs, tmp_path
):
    written = write(notebook_runs, tmp_path / "report")
    stems = ("comparison", "train_accuracy", "train_loss", "val_accuracy", "val_loss")
    stems += ("val_accuracy_aligned",)
    figures = {f"figures/{stem}.{kind}" for stem in stems for kind in ("png", "pdf")}
    texts = {"report.html", "report.md", "table.tex", "results.csv"}
    names = {*figures, *texts, "label_suspects.txt"}
    folder = tmp_path / "report"
    assert {str(path.relative_to(folder)) for path in written} == names
    first = {path: path.read_bytes() for path in written}
    write(notebook_runs, folder)
    assert {path: path.read_bytes() for path in written} == first
    assert {str(p.relative_to(folder)) for p in folder.rglob("*.*")} == names


def test_all_curves_are_there_and_appendices_come_last(notebook_runs, tmp_path):
    write(notebook_runs, tmp_path)
    text = (tmp_path / "report.html").read_text()
    panels = re.findall(r'data-panel="(\w+)"', text)
    assert sorted(panels) == sorted(
        panel.stem for panel in plots.PANELS if panel.stem != "test_accuracy"
    )
    assert text.index(">Methods</h2>") < text.index("<details")
    assert text.rindex("</section>") < text.index("<details")


def test_without_evaluations_there_is_a_report_and_no_figure(write_run, tmp_path):
    run = write_run([], status="failed", reason="disk full")
    written = write([run], tmp_path / "report")
    assert not [path for path in written if path.parent.name == "figures"]
    text = (tmp_path / "report" / "report.md").read_text()
    assert "Not drawn: no run has such numbers." in text


def test_numbers_in_a_figure_are_names_in_the_text(
    notebook_runs, tmp_path, monkeypatch
):
    monkeypatch.setattr(plots, "_fonts", lambda configurations: None)
    write(notebook_runs, tmp_path)
    assert "1: rmsprop 1e-4; 2: adam 1e-4" in (tmp_path / "report.md").read_text()


def test_sixty_runs_older_ones_and_one_under_way_make_a_report(write_run, tmp_path):
    for seed in range(10):
        for name in ("rmsprop", "adam", "sgd", "nadam", "lion", "adamw"):
            accuracies = [0.5 + 0.01 * seed, 0.6, 0.7]
            version = {"format_version": 1 + seed % 2}
            run = write_run(accuracies, optimizer=name, seed=seed, facts=version)
    with open(run_folder.run_folder(run) / "metrics.jsonl", "a") as file:
        file.write('{"epoch": 4, "ste')
    found = results.read_folder(tmp_path / "runs")
    assert len(found) == 60
    rendering.write_report(findings.gather(found, None), tmp_path / "report")
    text = (tmp_path / "report" / "report.html").read_text()
    data = json.loads(re.search(r'id="curves">(.*?)</script>', text)[1])
    curves = data["panels"]["val_accuracy"]["curves"]
    assert sum(curve["thick"] for curve in curves) == 6
    assert sum(not curve["thick"] for curve in curves) == 60


def test_colours_stand_out_on_both_grounds():
    assert charts.readable("#0072B2", charts.LIGHT) == "#0072b2"
    for ground in (charts.LIGHT, charts.DARK):
        for colour in plots.COLOURS:
            light, dark = sorted(
                map(charts._luminance, (charts.readable(colour, ground), ground))
            )[::-1]
            assert (light + 0.05) / (dark + 0.05) >= charts.LEAST_CONTRAST
