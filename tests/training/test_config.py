import pytest

from tfpipe.training import config as run_config
from tfpipe.training.config import RunConfig


def test_the_defaults_are_the_experiments_first_run():
    config = RunConfig()
    assert (config.model.model, config.model.weights) == ("vgg16", "none")
    assert (config.data.image_size, config.data.batch_size) == (224, 32)
    assert config.optimizer.optimizer == "rmsprop"
    assert (config.optimizer.learning_rate, config.optimizer.decay) == (1e-4, 1e-6)
    stopping = config.stopping
    assert (stopping.monitor, stopping.baseline) == ("val_accuracy", 0.9)
    assert (stopping.early_stopping, stopping.patience) == ("keras", 30)
    assert (config.run.epochs, config.run.seed) == (5, 0)


def test_a_config_survives_json():
    config = RunConfig.of(optimizer="sgd", learning_rate=0.01, image_size=64)
    assert run_config.from_json(run_config.to_json(config)) == config


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
    assert run_config.run_name(RunConfig.of(**values)) == name


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
        run_config.run_name(RunConfig.of(epochs=epochs, **values))
        for epochs in (1, 2, 5, 30, 100)
    }
    assert len(names) == 1


def test_identity_leaves_out_seed_epochs_and_places():
    left_out = {"records_dir": "r", "seed": 1, "epochs": 2, "runs_dir": "x"}
    assert run_config.identity(RunConfig.of(**left_out)) == run_config.identity(
        RunConfig()
    )
    changed = RunConfig.of(max_steps=3)
    assert run_config.identity(changed) != run_config.identity(RunConfig())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"optimiser": "adam"}, "setting must be one of .* did you mean optimizer"),
        ({"optimizer": "adm"}, "optimizer must be one of sgd, .* got 'adm'"),
        ({"model": "vgg"}, "model must be one of .* got 'vgg'"),
        ({"learning_rate": 0.0}, "learning_rate must be a number above 0, got 0.0"),
        ({"learning_rate": True}, "learning_rate must be a number, got True"),
        ({"epochs": 1.5}, "epochs must be a whole number of at least 1, got 1.5"),
        ({"image_size": 4}, "image_size must be a whole number of at least 8, got 4"),
        (
            {"monitor": "f1"},
            "monitor must be one of val_loss, val_accuracy, .* got 'f1'",
        ),
        ({"model": "small_cnn", "weights": "imagenet"}, "weights must be none or a fi"),
        ({"model": "a..b:c"}, "model must be one of .* got 'a..b:c'"),
        ({"run_name": "a/b"}, "run_name must be the name of one folder, got 'a/b'"),
    ],
)
def test_a_wrong_value_cannot_be_constructed(values, message):
    with pytest.raises(ValueError, match=message):
        RunConfig.of(**values)


def test_a_default_name_too_long_for_a_folder_ends_in_a_digest():
    long, other = (
        run_config.run_name(RunConfig.of(model=f"{'a' * 150}:{name}", seed=7))
        for name in ("f", "g")
    )
    assert long != other
    assert len(long) <= run_config.MAX_NAME_LENGTH
    assert long.endswith("-s7")
