import keras
import numpy as np
import pytest

from tfpipe.training import checkpoint, state
from tfpipe.training.position import Position


def variables(*shapes):
    return [keras.Variable(np.full(shape, 1.5), dtype="float32") for shape in shapes]


def test_a_state_comes_back_bit_for_bit(tmp_path):
    kept = variables((3, 2), ())
    position = Position(epoch=2, step=9, loss_sum=0.1 + 0.2, stopping={"wait": 1})
    state.save_state(tmp_path / "c", kept, position)
    fresh = [keras.Variable(np.zeros(v.shape), dtype="float32") for v in kept]
    assert state.load_state(tmp_path / "c", fresh) == (position, [])
    for old, new in zip(kept, fresh, strict=True):
        np.testing.assert_array_equal(old.numpy(), new.numpy())


def test_without_a_checkpoint_a_run_stands_at_its_start(tmp_path):
    assert state.load_state(tmp_path / "none", variables((2,))) == (Position(), [])


def test_a_state_of_other_variables_is_refused(tmp_path):
    state.save_state(tmp_path / "c", variables((3, 2)), Position())
    with pytest.raises(ValueError, match="must hold the 1 variables of this model"):
        state.load_state(tmp_path / "c", variables((2, 3)))


def test_two_checkpoints_are_kept_and_an_undescribed_one_is_no_checkpoint(tmp_path):
    for step in (1, 2, 3):
        checkpoint.save_checkpoint(tmp_path, [np.array(step)], {"step": step})
    assert len(list(tmp_path.glob("*.npz"))) == 2
    # Killed between the arrays and their description:
    (tmp_path / "step-00000004.npz").write_bytes(b"whatever")
    arrays, position, damaged = checkpoint.load_checkpoint(tmp_path)
    assert (arrays[0], position, damaged) == (3, {"step": 3}, [])
    checkpoint.save_checkpoint(tmp_path, [np.array(5)], {"step": 5})
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "step-00000003.json",
        "step-00000003.npz",
        "step-00000005.json",
        "step-00000005.npz",
    ]


def test_the_disk_is_asked_for_all_that_a_run_writes():
    assert state.disk_bytes(variables((10, 10))) == 5 * 400 + (16 << 20)
