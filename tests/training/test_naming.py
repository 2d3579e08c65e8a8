import pytest

from tfpipe.training import naming
from tfpipe.training.config import RunConfig


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({}, "rmsprop-lr0.0001-s0"),
        ({"learning_rate": 1e-5, "seed": 3}, "rmsprop-lr1e-05-s3"),
        ({"image_size": 64, "epochs": 9}, "rmsprop-lr0.0001-image_size64-s0"),
        ({"decay": 0.0}, "rmsprop-lr0.0001-decay0-s0"),
        ({"optimizer": "my.code:Mine"}, "my.code_Mine-lr0.0001-s0"),
        ({"weights": "/a/long/path/b.keras"}, "rmsprop-lr0.0001-weightsb.keras-s0"),
        ({"run_name": "first"}, "first"),
        (
            {"optimizer": "sgd", "optimizer_args": ["nesterov=true", "momentum=0.90"]},
            "sgd-lr0.0001-momentum=0.9+nesterov=true-s0",
        ),
        (
            {"schedule": "warmup", "schedule_args": ["warmup_steps=586"]},
            "rmsprop-lr0.0001-schedulewarmup-warmup_steps=586-s0",
        ),
    ],
)
def test_run_names(values, name):
    assert naming.run_name(RunConfig.of(**values)) == name


@pytest.mark.parametrize(
    "values",
    [
        {"patience": 3},
        {"early_stopping": "keras2"},
        {"early_stopping": "off"},
        {"monitor": "val_loss"},
        {"image_size": 224, "faithful": True},
    ],
)
def test_a_longer_run_keeps_its_name(values):
    """Whether early stopping can act depends on the epochs; a name mustn't."""
    names = {
        naming.run_name(RunConfig.of(epochs=epochs, **values))
        for epochs in (1, 2, 5, 30, 100)
    }
    assert len(names) == 1


def test_identity_leaves_out_seed_epochs_and_places():
    left_out = {"records_dir": "r", "seed": 1, "epochs": 2, "runs_dir": "x"}
    assert naming.identity(RunConfig.of(**left_out)) == naming.identity(RunConfig())
    changed = RunConfig.of(max_steps=3)
    assert naming.identity(changed) != naming.identity(RunConfig())


def test_a_default_name_too_long_for_a_folder_ends_in_a_digest():
    long, other = (
        naming.run_name(RunConfig.of(model=f"{'a' * 150}:{name}", seed=7))
        for name in ("f", "g")
    )
    assert long != other
    assert len(long) <= naming.MAX_NAME_LENGTH
    assert long.endswith("-s7")
