import re
import shutil

from tfpipe.comparison import declaration, findings, methods, results


def words_of(runs, study=None):
    """Return all of the section's text."""
    found = results.read_results(runs)
    section = methods.describe(findings.gather(found, study))
    first, heading, optimizers, last = section.parts
    return first.words, heading.words, list(optimizers.lines), last.words


ADAM = {
    "class_name": "Adam",
    "config": {
        "name": "adam",
        "beta_1": 0.9,
        "epsilon": 1e-7,
        "amsgrad": False,
        "clipnorm": None,
        "use_ema": False,
        "ema_momentum": 0.99,
        "learning_rate": {
            "class_name": "InverseTimeDecay",
            "config": {"initial_learning_rate": 1e-4, "name": "x", "staircase": False},
        },
    },
}


def test_what_a_reader_needs_is_said(write_run):
    facts = {"optimizer": ADAM, "num_parameters": 14_715_714, "device": "A GPU"}
    runs = [write_run([0.6], optimizer="adam", seed=s, facts=facts) for s in (3, 4)]
    first, _, optimizers, last = words_of(runs)
    for words in (
        "Data: 2 classes, pictures: 18,750 train, 6,250 validation;",
        "the split is that of the records; trained on 18,750 an epoch;",
        "dataset fingerprint dddddddddddd",
        "224 x 224 pixels (area), augmentation: none.",
        "vgg16 (14,715,714 parameters) from random weights, in float32.",
        "batches of 32, 5 epochs, early stopping off, class weights none;",
        "2 runs of seeds 3, 4.",
    ):
        assert words in first
    assert optimizers == [
        "adam 1e-4: Adam(beta_1=0.9, epsilon=1e-7, "
        "learning_rate=InverseTimeDecay(initial_learning_rate=1e-4))"
    ]
    assert "Hardware: A GPU, on A CPU with 2 cores. Software: keras 3.15.1." in last
    assert "sign-flip test" in last
    assert last.endswith(
        "Nothing was declared before the runs; every pair found is compared."
    )


def test_where_runs_were_cut_off_is_said(write_run):
    first, *_ = words_of([write_run([0.6], max_steps=1300)])
    assert "5 epochs, cut off after 1,300 steps, early stopping off" in first


def test_what_runs_differ_in_is_said_once_each(write_run):
    runs = [
        write_run([0.6]),
        write_run([0.6], batch_size=8, model="small_cnn"),
        write_run([0.6], optimizer="adam", split_seed=2, validation_split=0.1),
    ]
    first, _, optimizers, _ = words_of(runs)
    assert "vgg16 or small_cnn from random weights" in first
    assert "batches of 32 or 8, " in first
    assert "that of the records or drawn anew (validation_split=0.1, split_seed=2)" in (
        first
    )
    assert len(optimizers) == 3


def test_when_it_was_declared_is_said(write_run, tmp_path):
    runs = [write_run([0.6]), write_run([0.6], optimizer="adam")]
    runs_dir = tmp_path / "fresh"
    elsewhere = [run.replace(runs_dir=str(runs_dir)) for run in runs]
    declared = declaration.declare(elsewhere, "d" * 64)
    declaration.write_declaration(runs_dir, declared, "")
    study = declaration.read_declaration(runs_dir)
    last = words_of(runs, study)[-1]
    assert last.endswith(
        f"Declaration {study['sha256']} was made before its first run."
    )
    shutil.copytree(tmp_path / "runs", runs_dir, dirs_exist_ok=True)
    later = declaration.declare(runs, "d" * 64, baseline="adam 1e-4")
    declaration.write_declaration(runs_dir, later, "why")
    last = words_of(runs, declaration.read_declaration(runs_dir))[-1]
    assert re.search(
        r"was made when 2 of its runs had begun; it is change 1 of what was declared "
        r"first, in baseline_run\.$",
        last,
    )


def test_without_a_run_there_is_a_word(write_run):
    run = write_run([0.6]).replace(seed=9)
    found = findings.gather(results.read_results([run]), None)
    [text] = methods.describe(found).parts
    assert text.words == "No run has begun."
