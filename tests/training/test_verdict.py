import pytest

from tfpipe.training.verdict import Clock, describe, judge, measure_input


def clock(*steps):
    found = Clock()
    for count, waiting, step in steps:
        found.add(count, waiting, step)
    return found


def test_the_first_two_steps_warm_up():
    found = clock((32, 9.0, 9.0), (32, 9.0, 9.0), (32, 0.5, 1.5), (8, 0.0, 1.0))
    assert (found.num_steps, found.num_examples) == (4, 40)
    assert (found.waiting_seconds, found.step_seconds) == (0.5, 2.5)


@pytest.mark.parametrize(
    ("waiting", "step", "words"),
    [
        (0.02, 0.98, "2.0% of it spent waiting for input: compute-bound; faster"),
        (0.2, 0.8, "20.0% of it spent waiting for input: mostly compute-bound; do so"),
        (0.7, 0.3, "70.0% of it spent waiting for input: input-bound; do so"),
    ],
)
def test_the_share_of_waiting_decides(waiting, step, words):
    found = clock((1, 0, 0), (1, 0, 0), (32, waiting, step))
    numbers = judge(found, 640.0)
    assert numbers["train_images_per_second"] == 32
    line = describe(numbers, "do so")
    assert line.startswith("input alone 640 images/s, training 32 images/s, ")
    assert words in line


def test_without_steps_or_input_there_is_nothing_to_say():
    assert judge(clock((32, 1, 1), (32, 1, 1)), 100.0) == {}
    assert judge(clock(*[(32, 1, 1)] * 3), 0.0) == {}


def test_input_is_measured_from_its_first_batch_on():
    assert measure_input([]) == 0
    assert measure_input([([1], [1])]) == 0
    assert measure_input([([1, 2], [1, 2])] * 500) > 0
