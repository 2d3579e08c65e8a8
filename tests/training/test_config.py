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
