"""What must match between compared runs: each thing that can differ is a brand."""

import pytest

from tfpipe.comparison import certificate, content, declaration, findings, results

MACHINE = {"cpu": "A CPU", "cores": 2}


def brands(runs, declared=None):
    """The banners of a report that say what makes its runs no comparison."""
    study = declared and {
        "runs_begun_before": 0,
        "time": "2026-01-02T03:04:05+00:00",
        "sha256": declaration.digest(declared),
        "declared": declared,
        "changes": [],
    }
    found = findings.gather(results.read_results(runs), study)
    lines = content.build_document(found).banners
    return [line for line in lines if line.startswith("Not comparable")]


def check(runs, name, declared=None):
    checks = certificate.certify(results.read_results(runs), declared)
    return next(check for check in checks if check.name == name)


def test_equal_conditions_have_no_brand(notebook_runs):
    assert brands(notebook_runs) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"facts": {"dataset_fingerprint": "e" * 64}}, "dataset (dddddddddddd: "),
        ({"image_size": 64}, "image_size (224: rmsprop"),
        ({"batch_size": 8}, "batch_size (32: rmsprop"),
        ({"resize": "bilinear"}, "resize (area: rmsprop"),
        ({"augment": ["crop", "flip"]}, "augment (none: "),
        ({"validation_split": 0.5}, "validation_split (0: "),
        ({"split_seed": 3}, "split_seed (0: "),
        ({"class_weight": "balanced"}, "class_weight (none: "),
        ({"model": "small_cnn"}, "model (vgg16: "),
        ({"weights": "imagenet"}, "weights (none: "),
        ({"max_steps": 100}, "max_steps (0: "),
        ({"early_stopping": "keras", "patience": 3}, "early_stopping (off: "),
        ({"determinism": "strict"}, "determinism (seeded: "),
        ({"facts": {"precision": "mixed_bfloat16"}}, "precision (float32: "),
        ({"facts": {"train_examples": 6000}}, "train examples (18750: "),
        (
            {"facts": {"split_sizes": {"train": 9, "validation": 6_250}}},
            "split sizes (train 18,750, validation 6,250: ",
        ),
        (
            {"facts": {"initial_weights_sha256": "f" * 64}},
            "initial weights (000000000000: ",
        ),
        (
            {"each": {"order_fingerprint": ["c" * 64]}},
            "order of pictures in epoch 1 (aaaaaaaaaaaa: ",
        ),
        ({"facts": {"backend": "jax"}}, "back end (tensorflow: "),
        ({"facts": {"device": "H100"}}, "device (CPU: rmsprop 1e-4; H100: adam 1e-4)"),
        ({"facts": {"device": None}}, "device (CPU: rmsprop 1e-4; not recorded: "),
        (
            {"facts": {"machine": {"cpu": "A CPU", "cores": 4}}},
            "machine (A CPU with 2 cores: ",
        ),
        (
            {"facts": {"machine": {**MACHINE, "cpu_flags": ["avx2", "fma"]}}},
            "machine (A CPU with 2 cores: rmsprop 1e-4; "
            "A CPU with 2 cores (avx2, fma): ",
        ),
        ({"facts": {"versions": {"keras": "3.16.0"}}}, "keras (3.15.1: "),
        ({"facts": {"versions": {}}}, "keras (3.15.1: rmsprop 1e-4; not recorded: "),
        (
            {"facts": {"versions": {"keras": "3.15.1", "ONEDNN_MAX_CPU_ISA": "AVX2"}}},
            "ONEDNN_MAX_CPU_ISA (none recorded: rmsprop 1e-4; AVX2: adam 1e-4)",
        ),
        (
            {"facts": {"sessions": [{"machine": MACHINE, "versions": {}}]}},
            "keras (3.15.1: rmsprop 1e-4; 3.15.1, then not recorded: ",
        ),
    ],
)
def test_what_must_match_and_does_not_is_named(write_run, change, message):
    def write(facts=None, **values):
        each = {"order_fingerprint": ["a" * 64]}
        facts = {"device": "CPU", **(facts or {})}
        return write_run([0.6], **{"each": each, **values}, facts=facts)

    lines = brands([write(), write(optimizer="adam", **change)])
    assert [line for line in lines if message in line]
    assert all(line.startswith("Not comparable: runs differ in ") for line in lines)


def test_threads_are_compared_where_they_were_recorded(write_run):
    def write(optimizer, threads, **facts):
        machine = {**MACHINE, "threads": threads}
        return write_run(
            [0.6], optimizer=optimizer, facts={"machine": machine, **facts}
        )

    old = write_run([0.6])
    assert brands([old, write("adam", 64), write("sgd", 64)]) == []
    assert brands([old, write("lion", 2), write("nadam", 1)]) == [
        "Not comparable: runs differ in threads (2: lion 1e-4; 1: nadam 1e-4)"
    ]
    went_on = {"sessions": [{"machine": {**MACHINE, "threads": 1}, "versions": {}}]}
    [line] = [
        line
        for line in brands([write("ftrl", 2), write("lamb", 2, **went_on)])
        if "threads" in line
    ]
    assert "threads (2: ftrl 1e-4; 2, then 1: lamb 1e-4)" in line


def test_own_code_that_was_edited_is_branded(write_run):
    def write(optimizer, digest):
        facts = {"own_code_sha256": {"mine:build": digest * 64}}
        return write_run([0.6], optimizer=optimizer, facts=facts)

    assert brands([write("adam", "a"), write("sgd", "a"), write_run([0.6])]) == []
    assert brands([write("lion", "a"), write("nadam", "b")]) == [
        "Not comparable: runs differ in code of mine:build (aaaaaaaaaaaa: lion 1e-4; "
        "bbbbbbbbbbbb: nadam 1e-4)"
    ]


def test_a_run_that_went_on_elsewhere_is_branded(write_run):
    there = {"machine": {"cpu": "B", "cores": 8}, "versions": {"keras": "3.15.1"}}
    runs = [write_run([0.6], facts={"device": "CPU"})]
    facts = {"device": "CPU", "sessions": [{**there, "device": "CPU"}]}
    runs.append(write_run([0.6], optimizer="adam", facts=facts))
    assert brands(runs) == [
        "Not comparable: runs differ in machine (A CPU with 2 cores: rmsprop 1e-4; "
        "A CPU with 2 cores, then B with 8 cores: adam 1e-4)"
    ]


def test_runs_of_other_lengths_are_named_unless_they_broke_off(write_run):
    runs = [
        write_run([0.6] * 2),
        write_run([0.6] * 3, optimizer="adam"),
        write_run([0.6], optimizer="sgd", status="diverged"),
    ]
    assert brands(runs) == [
        "Not comparable: runs differ in epochs trained (2: rmsprop 1e-4; 3: adam 1e-4)"
    ]


def test_a_run_whose_lines_are_lost_breaks_nothing(write_run):
    assert brands([write_run([0.6]), write_run([], optimizer="adam")]) == []


def test_other_seeds_may_start_from_other_weights(write_run):
    assert brands([write_run([0.6]), write_run([0.6], seed=1)]) == []


def test_long_brands_name_few_runs(write_run):
    rates = (1e-5, 1e-4, 1e-3)
    runs = [write_run([0.6], learning_rate=rate) for rate in rates]
    runs.append(write_run([0.6], facts={"precision": "mixed_bfloat16"}, seed=1))
    [line] = brands(runs)
    assert "float32: rmsprop 1e-5 seed=0, rmsprop 1e-4 seed=0 and 1 more; " in line


def test_orders_are_compared_wherever_two_runs_share_an_epoch(write_run):
    """A short run must not hide that two long ones parted behind its end."""
    orders = {"adam": "ab", "sgd": "ac", "rmsprop": "a"}
    runs = [
        write_run(
            [0.6] * len(epochs),
            optimizer=optimizer,
            each={"order_fingerprint": [letter * 64 for letter in epochs]},
            status="done" if len(epochs) > 1 else "diverged",
        )
        for optimizer, epochs in orders.items()
    ]
    assert brands(runs) == [
        "Not comparable: runs differ in order of pictures in epoch 2 "
        "(bbbbbbbbbbbb: adam 1e-4; cccccccccccc: sgd 1e-4)"
    ]


def test_what_few_runs_recorded_is_no_more_than_that(write_run):
    runs = [write_run([0.6])]
    assert list(check(runs, "order of pictures").groups) == ["not recorded"]
    each = {"order_fingerprint": ["a" * 64]}
    runs.append(write_run([0.6], optimizer="adam", each=each))
    assert list(check(runs, "order of pictures").groups) == [
        "the same in each seed, of the 1 of 2 runs that recorded it"
    ]


def test_one_of_a_seed_twice_is_named(write_run):
    runs = [write_run([0.6]), write_run([0.7], run_name="again")]
    [line] = brands(runs)
    assert "runs a seed (one counts: rmsprop-lr0.0001-s0; left out: again)" in line


def test_optimizers_settings_may_differ_undeclared(write_run):
    runs = [
        write_run([0.6]),
        write_run([0.6], optimizer="sgd", optimizer_args=["momentum=0.9"]),
        write_run([0.6], schedule="cosine", schedule_args=["decay_steps=1758"]),
        write_run([0.6], schedule="cosine"),  # its length is in the identity
    ]
    assert brands(runs) == []


@pytest.mark.parametrize(
    ("change", "facts"),
    [
        ({"batch_size": 8}, {}),
        ({"image_size": 64}, {"initial_weights_sha256": "f" * 64}),
        ({"augment": ["flip"]}, {}),
        ({"precision": "float32"}, {"precision": "mixed_bfloat16"}),
        ({"train_examples": 6000}, {"train_examples": 6000}),
        ({"validation_split": 0.5}, {"split_sizes": {"train": 1, "validation": 6250}}),
        ({"max_steps": 100}, {}),
        ({"class_weight": "balanced"}, {}),
    ],
)
def test_declared_factors_are_no_brands(write_run, change, facts):
    runs = [write_run([0.6]), write_run([0.6], facts=facts, **change)]
    declared = declaration.declare(runs, "d" * 64)
    assert brands(runs, declared) == []
    assert brands(runs)


def test_a_declared_factor_hides_nothing_else(write_run):
    facts = {"initial_weights_sha256": "f" * 64}
    runs = [write_run([0.6]), write_run([0.6], class_weight="balanced", facts=facts)]
    [line] = brands(runs, declaration.declare(runs, "d" * 64))
    assert "initial weights" in line


def test_a_split_that_moves_with_the_seed_is_no_brand(write_run):
    runs = [write_run([0.6], seed=seed, split_seed=seed + 5) for seed in range(3)]
    assert brands(runs) == []
    assert check(runs, certificate.TRIALS).groups == {"1": ["rmsprop"]}


def test_trials_are_counted_an_optimizer(notebook_runs):
    found = check(notebook_runs, certificate.TRIALS)
    assert found.groups == {"1": ["rmsprop", "sgd"], "2": ["adam"]}
    assert not found.is_brand
