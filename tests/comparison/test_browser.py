"""The report's page in a browser: it draws, obeys, asks nothing of the network."""

import json
import re
import shutil
import subprocess

import pytest

from tfpipe.comparison import findings, rendering, results

CHROME = next(
    filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None
)
# What a person does, and what they then see, as the title of the page.
PERSON = """
<script>
const seen = {};
const one = (query) => document.querySelector(query);
const count = (query) => document.querySelectorAll(query).length;
const holder = one('[data-panel="val_accuracy"]');
const svg = holder.querySelector("svg");
const press = (key) => svg.dispatchEvent(new KeyboardEvent("keydown", { key }));
const texts = () => [...svg.querySelectorAll("text")].map((t) => t.textContent);
seen.charts = count(".stage svg");
seen.noise = count('[data-panel="val_accuracy"] .stage .noise');
seen.curves = count('.stage [data-of="0"]');
seen.thin = count('[data-panel="val_accuracy"] .thin');
const button = () => one(".legend button");
button().click();
seen.hidden = count('.stage [data-of="0"]');
seen.pressed = button().getAttribute("aria-pressed");
button().click();
seen.shown = count('.stage [data-of="0"]');
seen.epochs = texts();
const select = holder.querySelector("select");
select.value = "steps";
select.dispatchEvent(new Event("change"));
seen.steps = texts();
svg.focus();
press("ArrowRight"); press("ArrowRight");
seen.tip = holder.querySelector(".tip").textContent;
const before = svg.querySelector(".thick path").getAttribute("d");
press("+");
seen.isZoomed = before !== svg.querySelector(".thick path").getAttribute("d");
press("+"); press("+"); press("+");
seen.near = texts();
for (let i = 0; i < 60; i++) press("+");
seen.nearest = texts();
seen.isLeft = ["ctrlKey", "metaKey", "altKey"].every((name) => svg.dispatchEvent(
  new KeyboardEvent("keydown", { key: "-", [name]: true, cancelable: true })));
const reset = holder.querySelector("button");
seen.canReset = !reset.hidden;
reset.click();
seen.isWhole = before === svg.querySelector(".thick path").getAttribute("d");
const box = svg.getBoundingClientRect();
const drag = (kind, part) => svg.dispatchEvent(new PointerEvent(kind, {
  pointerId: 1, clientX: box.left + part * box.width, clientY: box.top + 99 }));
svg.setPointerCapture = () => {};
drag("pointerdown", 0.3); drag("pointermove", 0.7); drag("pointerup", 0.7);
seen.isDragged = before !== svg.querySelector(".thick path").getAttribute("d");
one("#theme").click();
seen.theme = document.documentElement.dataset.theme;
location.hash = one("details").id;
seen.requests = performance.getEntriesByType("resource").length;
setTimeout(() => {
  seen.unfolded = one("details").open;
  document.title = JSON.stringify(seen);
}, 50);
</script>
"""


@pytest.fixture
def report(write_run, tmp_path):
    """The page of two configurations, three seeds each."""
    runs = [
        write_run([0.5, 0.6 + seed / 100, 0.7], optimizer=name, seed=seed)
        for seed in range(3)
        for name in ("rmsprop", "adam")
    ]
    found = results.read_results(runs)
    rendering.write_report(findings.gather(found, None), tmp_path / "report")
    return tmp_path / "report" / "report.html"


def browse(page, folder):
    """Return what a headless browser's page is in the end, and what it logged."""
    command = [CHROME, "--headless=new", "--no-sandbox", "--disable-gpu"]
    command += ["--enable-logging=stderr", "--virtual-time-budget=5000"]
    command += [f"--user-data-dir={folder}", "--dump-dom", page.as_uri()]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.skipif(CHROME is None, reason="no Chromium here")
def test_the_page_obeys_without_an_error_or_a_request(report, tmp_path):
    text = report.read_text()
    dom, errors = browse(report, tmp_path / "profile")
    assert errors == []
    assert dom.count("<svg") > 4
    # The person is a program, too: only for it the policy is opened.
    text = re.sub(r"script-src 'sha256-[^']*'", "script-src 'unsafe-inline'", text)
    visited = report.with_name("visited.html")
    visited.write_text(text.replace("</body>", f"{PERSON}</body>"))
    dom, errors = browse(visited, tmp_path / "profile")
    assert errors == []
    seen = json.loads(re.search("<title>(.*?)</title>", dom)[1])
    assert seen["charts"] == 5
    assert (seen["noise"], seen["thin"], seen["requests"]) == (1, 6, 0)
    # In each of five charts three seeds and their median.
    assert (seen["curves"], seen["hidden"], seen["shown"]) == (20, 0, 20)
    assert seen["pressed"] == "false"
    assert {"1", "2", "3", "Epoch"} <= set(seen["epochs"])
    assert {"1,000", "Step"} <= set(seen["steps"])
    # Far in, both axes still have numbers, and the browser its own keys.
    for name in ("near", "nearest"):
        numbers = [text for text in seen[name] if re.fullmatch(r"[\d,.]+", text)]
        assert 4 <= len(numbers) <= 40, name
    assert seen["isLeft"]
    assert seen["tip"].startswith("rmsprop 1e-4, medianValidation accuracy 0.6100")
    for name in ("isZoomed", "canReset", "isWhole", "isDragged", "unfolded"):
        assert seen[name], name
    assert seen["theme"] in ("dark", "light")


@pytest.mark.skipif(CHROME is None, reason="no Chromium here")
def test_a_program_from_outside_does_not_run(report, tmp_path):
    text = report.read_text()
    foreign = "<script>document.title = 'ran'</script></body>"
    report.write_text(text.replace("</body>", foreign))
    dom, errors = browse(report, tmp_path / "profile")
    assert "<title>ran</title>" not in dom
    assert any("Content Security Policy" in line for line in errors)
