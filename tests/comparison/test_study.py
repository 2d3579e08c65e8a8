import pytest

from tfpipe.base import settings
from tfpipe.comparison import planning, study
from tfpipe.comparison.study import CompareConfig
from tfpipe.training.config import RunConfig
from tfpipe.training.naming import identity, run_name


def plan(**values):
    design = planning.design_study(settings.build_config(CompareConfig, values))
    return list(planning.plan_study(design).runs)


def names(**values):
    return [run_name(run) for run in plan(**values)]


def test_alone_it_is_the_experiment():
    assert names() == [
        "rmsprop-lr0.0001-s0",
        "adam-lr0.0001-s0",
        "sgd-lr0.0001-s0",
        "adam-lr0.001-s0",
    ]


def test_runs_of_the_experiment_are_those_of_training_alone():
    [run, *_] = plan()
    assert run_name(run) == run_name(RunConfig())
    assert identity(run) == identity(RunConfig())
    # A budget in which the default rule could stop a run tells them apart.
    [run, *_] = plan(epochs=40)
    assert identity(run) != identity(RunConfig.of(epochs=40))


def test_a_grid_is_every_optimizer_at_every_rate():
    assert names(optimizers=("adam", "sgd"), learning_rates=("1e-4", "0.01")) == [
        "adam-lr0.0001-s0",
        "adam-lr0.01-s0",
        "sgd-lr0.0001-s0",
        "sgd-lr0.01-s0",
    ]


def test_half_a_grid_takes_the_other_half_from_the_shared_settings():
    assert names(optimizers=("adam",), learning_rate=0.01) == ["adam-lr0.01-s0"]
    assert names(learning_rates=("0.01",), optimizer="sgd") == ["sgd-lr0.01-s0"]


def test_single_runs_take_any_setting_and_come_behind_the_grid():
    runs = plan(
        optimizers=("sgd",),
        run=("adam, learning_rate=1e-3, batch_size=8", "rmsprop"),
        image_size=64,
    )
    assert [run.optimizer.optimizer for run in runs] == ["sgd", "adam", "rmsprop"]
    assert runs[1].optimizer.learning_rate == 1e-3
    assert [run.data.batch_size for run in runs] == [32, 8, 32]
    assert {run.data.image_size for run in runs} == {64}


def test_single_runs_take_arguments_of_their_optimizer_and_schedule():
    (run,) = plan(
        run=("adam,beta_2=0.99,schedule=warmup,warmup_steps=5,augment=flip+color",)
    )
    assert run.optimizer.optimizer_args == ("beta_2=0.99",)
    assert run.optimizer.schedule_args == ("warmup_steps=5",)
    assert run.data.augment == ("flip", "color")


def test_shared_arguments_are_those_of_each_runs_own_optimizer():
    (run,) = plan(optimizers=("adadelta",), optimizer_args=("rho=0.9",))
    assert run.optimizer.optimizer_args == ("rho=0.9",)  # rmsprop's default, not its
    (run,) = plan(run=("lion",), optimizer_args=("beta_1=0.95",))
    assert run.optimizer.optimizer_args == ("beta_1=0.95",)
    (run,) = plan(run=("adam,schedule=keras2_decay",), schedule="cosine")
    assert run.optimizer.decay == 1e-6


def test_replicates_count_seeds_up_and_share_them_between_configurations():
    runs = plan(optimizers=("adam", "sgd"), replicates=2, seed=7)
    assert [(run.optimizer.optimizer, run.run.seed) for run in runs] == [
        ("adam", 7),
        ("sgd", 7),
        ("adam", 8),
        ("sgd", 8),
    ]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"optimizers": ("adm",)}, "optimizer must be one of .*did you mean adam"),
        ({"run": ("adm",)}, "optimizer must be one of .*did you mean adam"),
        ({"learning_rates": ("1e-4", "big")}, "learning_rates must be a number"),
        ({"learning_rates": ("0",)}, "learning_rate must be a number above 0"),
        ({"run": ("learning_rate=1e-3",)}, "run must begin with an optimizer's name"),
        ({"run": ("",)}, "run must begin with an optimizer's name"),
        ({"run": ("adam,learning_rat=1",)}, "did you mean learning_rate"),
        ({"run": ("adam,1e-3",)}, "name=value behind its optimizer, got '1e-3'"),
        ({"run": ("adam,run_name=x",)}, "must leave run_name out, got 'x'"),
        ({"run": ("adam,seed=3",)}, "must leave seed out, .*--replicates makes"),
        ({"run": ("adam,momentum=0.9",)}, "got 'momentum=0.9'"),
        ({"run": ("sgd,schedule=plateau,patience=3",)}, "must say whose patience"),
        ({"run": ("adam,beta2=0.9",)}, "did you mean beta_2"),
        ({"run": ("adam,warmup_steps=5",)}, "got 'warmup_steps=5'"),
        ({"run": ("adam,epochs=2",)}, "must leave epochs out, .*give --epochs"),
        ({"run": ("adam,epochs=1,epochs=2",)}, "must have epochs once"),
        ({"workers": "0"}, "workers must be auto or a whole number of at least 1"),
        ({"workers": "all"}, "workers must be auto or a whole number .* got 'all'"),
        ({"replicates": 0}, "replicates must be a whole number of at least 1"),
        ({"optimizers": ("adam", "adam")}, "folder each, got adam-lr0.0001-s0 twice"),
        ({"run_name": "mine"}, "run_name must be left out"),
        ({"optimizer": "adam"}, "say --optimizers=adam"),
        ({"optimizer": "adam", "run": ("sgd",)}, "say --optimizers=adam"),
        ({"learning_rate": 0.01}, "say --learning_rates=0.01"),
        (
            {"learning_rate": 0.01, "learning_rates": ("0.1",)},
            "say --learning_rates=0.01",
        ),
    ],
)
def test_what_no_run_can_be_is_refused_before_anything_starts(values, message):
    with pytest.raises(ValueError, match=message):
        plan(**values)


def test_more_epochs_or_overwrite_make_a_done_run_unfinished(write_run):
    run = write_run([0.6] * 5)
    assert study.find_finished(run)
    assert study.find_finished(run.replace(epochs=3))
    assert not study.find_finished(run.replace(epochs=6))
    assert not study.find_finished(run.replace(overwrite=True))
    assert not study.find_finished(run.replace(seed=1))


def test_a_folder_of_other_settings_is_refused(write_run):
    run = write_run([0.6] * 5, run_name="rmsprop-lr0.0001-s0", batch_size=8)
    other = run.replace(run_name="", batch_size=32)
    with pytest.raises(ValueError, match="batch_size=8"):
        study.find_finished(other)


def test_absent_records_are_refused(tmp_path):
    runs = plan(records_dir=str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="nowhere"):
        study.check_records(runs)
