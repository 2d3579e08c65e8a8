"""What a range test says of made losses, and a whole test on small records."""

import contextlib
import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest

from tfpipe.training import range_test, rate_range
from tfpipe.training.run import train


def run_binary(module, *words):
    done = subprocess.run(
        [sys.executable, "-m", module, *words], capture_output=True, text=True
    )
    return done.returncode, done.stdout, done.stderr


RATES = np.geomspace(1e-7, 10, 100)


def noise(scale=0.01, seed=0):
    return np.random.default_rng(seed).normal(scale=scale, size=100)


def test_smoothing_has_no_bias():
    assert rate_range.smooth([2.0] * 5) == pytest.approx([2.0] * 5)
    # By hand: (0.9 x 1 + 1 x 4) / (0.9 + 1).
    assert rate_range.smooth([1.0, 4.0])[1] == pytest.approx(4.9 / 1.9)


def fall_and_rise():
    logs = np.log10(RATES)
    fall = 0.4 / (1 + np.exp(-4 * (logs + 3.5)))
    return 0.7 - fall + np.where(logs > -1.5, 3 * (logs + 1.5), 0)


def plateau():
    return 0.693 + np.where(RATES > 1e-3, 5 * (np.log10(RATES) + 3), 0)


@pytest.mark.parametrize("scale", [0.01, 0.05])
def test_a_fall_and_a_rise(scale):
    right = 0
    for seed in range(200):
        losses = fall_and_rise() + noise(scale, seed)
        found = rate_range.find_range(RATES, losses)
        right += bool(
            found.has_fallen
            and 3e-5 < found.steepest < 3e-3
            and 1e-2 < found.largest_stable < 3e-1
            and found.low < found.steepest <= found.high < found.largest_stable
        )
    assert right >= 190
    text = "\n".join(rate_range.describe_range(found))
    assert "the loss fell fastest at" in text


@pytest.mark.parametrize("scale", [0.01, 0.05])
def test_a_plateau_says_only_what_is_too_large(scale):
    right = 0
    for seed in range(200):
        found = rate_range.find_range(RATES, plateau() + noise(scale, seed))
        right += not found.has_fallen and 3e-4 < found.largest_stable < 5e-3
        assert found.high < found.largest_stable
    assert right >= 190
    found = rate_range.find_range(RATES, plateau() + noise())
    assert "plateau" in rate_range.describe_range(found)[0]


@pytest.mark.parametrize(
    ("start", "scale", "is_noisy"), [(0.69, 0.02, False), (0.2, 0.06, True)]
)
def test_noise_that_hides_a_fall_is_no_plateau(start, scale, is_noisy):
    """As of a run that learns: its loss is small, and batches lie far apart."""
    found = rate_range.find_range(RATES, start + noise(scale))
    assert not found.has_fallen
    assert found.is_noisy == is_noisy
    line = rate_range.describe_range(found)[0]
    assert ("a plateau, on which" in line) != is_noisy
    assert ("too noisy to tell a plateau from a fall" in line) == is_noisy


def test_a_fall_is_said_however_noisy_it_is():
    found = rate_range.find_range(RATES, fall_and_rise() + noise(0.08))
    found = rate_range.dataclasses.replace(found, noise=1.0)
    assert not found.is_noisy
    assert "the loss fell fastest at" in rate_range.describe_range(found)[0]


def test_what_helps_against_noise_can_be_given():
    """A test from a run takes the run's batch size."""
    found = rate_range.find_range(RATES, 0.2 + noise(0.06))
    fresh = rate_range.describe_range(found)[0]
    assert fresh.endswith("; a larger --batch_size or more --steps may help")
    own = rate_range.describe_range(found, from_run=True)[0]
    assert own.endswith("; more --steps may help")


def test_the_picture_says_whether_it_shows_a_fall(tmp_path, monkeypatch):
    captions = []
    open_figure = rate_range.curves.open_figure

    @contextlib.contextmanager
    def open_and_look(*arguments):
        with open_figure(*arguments) as figure:
            yield figure
            captions.append(figure.get_supxlabel())

    monkeypatch.setattr(rate_range.curves, "open_figure", open_and_look)
    for losses in (
        fall_and_rise() + noise(),
        plateau() + noise(),
        0.2 + noise(0.06),
    ):
        found = rate_range.find_range(RATES, losses)
        rate_range.draw_range(found, tmp_path / "a.png", "a test")
    fallen, flat, noisy = captions
    assert "plateau" not in fallen
    assert flat.endswith("\nplateau: only the end says something")
    assert noisy.endswith("\ntoo noisy to tell a plateau from a fall")


def test_a_jump_to_a_higher_plateau_is_the_end():
    """As sgd's on small pictures: 0.69, then one class for all at 0.73."""
    for seed in range(50):
        losses = np.where(RATES > 0.6, 0.735, 0.69) + noise(0.01, seed)
        found = rate_range.find_range(RATES, losses)
        assert 0.3 < found.largest_stable < 2


def test_a_loss_that_is_not_finite_is_the_end():
    losses = np.where(RATES > 1e-2, np.nan, 0.693) + noise()
    found = rate_range.find_range(RATES, losses)
    assert 3e-3 < found.largest_stable <= 1e-2


def test_rates_that_never_were_too_large_are_said():
    found = rate_range.find_range(RATES, 0.693 + noise())
    assert found.largest_stable is None
    assert "no rate up to 1.0e+01 was too large" in rate_range.describe_range(found)[1]


def test_too_few_losses_are_refused():
    losses = np.where(RATES > 1e-6, np.nan, 0.693)
    with pytest.raises(ValueError, match="at least 20 finite losses, got 13"):
        rate_range.find_range(RATES, losses)


def test_one_noisy_batch_ends_no_test():
    losses = [0.1] * 30 + [0.9]
    assert not range_test._is_over(losses, 100)
    assert range_test._is_over([*losses, np.nan], 100)
    assert range_test._is_over(losses + [9.0] * 5, 100)


@pytest.mark.parametrize(
    ("low", "high", "rates"),
    [
        (1e-5, 1e-3, ["1e-5", "3e-5", "1e-4", "3e-4", "1e-3"]),
        (2e-5, 2.9e-5, ["2e-05", "3e-05"]),
    ],
)
def test_rates_to_compare(low, high, rates):
    found = rate_range.find_range(RATES, 0.693 + noise())
    found = rate_range.dataclasses.replace(found, low=low, high=high)
    assert rate_range.suggest_rates(found) == rates


def small(records_dir, tmp_path):
    return [
        f"--records_dir={records_dir}",
        f"--runs_dir={tmp_path / 'runs'}",
    ]


def test_from_fresh_weights_it_draws_its_picture(records_dir, tmp_path):
    flags = ["--model=small_cnn", "--image_size=16", "--batch_size=8", "--steps=40"]
    code, output, errors = run_binary(
        "tfpipe.find_lr",
        "--optimizer=sgd",
        "--optimizer_args=momentum=0.5",
        *flags,
        *small(records_dir, tmp_path),
    )
    assert code == 0, errors
    assert "worth a try: " in output
    assert (
        "compare: python -m tfpipe.compare --optimizers=sgd --learning_rates=" in output
    )
    [picture] = (tmp_path / "runs" / "find_lr").glob("*.png")
    numbers = json.loads(picture.with_suffix(".json").read_text())
    assert numbers["rates"][0] == pytest.approx(1e-7)
    assert len(numbers["rates"]) == len(numbers["losses"])


def digest(folder):
    found = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        found.update(path.name.encode() + path.read_bytes())
    return found.hexdigest()


@pytest.mark.parametrize("schedule", ["keras2_decay", "constant"])
def test_from_a_run_it_leaves_the_run_as_it_was(small_run, tmp_path, schedule):
    run = train(
        small_run.replace(epochs=1, optimizer="adam", schedule=schedule),
        say=lambda line: None,
    )
    before = digest(run.folder)
    flags = ["--steps=20", f"--runs_dir={tmp_path / 'runs'}"]
    code, output, errors = run_binary(
        "tfpipe.find_lr", f"--from_run={run.folder}", *flags
    )
    assert code == 0, errors
    assert f"adam, small_cnn at 16 px, from {run.folder}" in output
    assert digest(run.folder) == before


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--learning_rate=1e-3", "learning_rate must be left out of a range test"),
        ("--max_rate=1e-9", "max_rate must be above min_rate"),
        ("--steps=3", "steps must be a whole number of at least 20"),
        ("--from_run=/nowhere", "run folder must hold config.json, got /nowhere"),
    ],
)
def test_bad_input_is_one_line(flag, message):
    code, output, errors = run_binary("tfpipe.find_lr", flag)
    assert (code, output) == (2, "")
    assert errors.startswith(f"error: {message}")
    assert errors.count("\n") == 1
