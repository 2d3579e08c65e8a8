import threading

import numpy as np
import tensorflow as tf

from tfpipe.data.streaming.buffers import ALIGNMENT, Buffers


def address(array):
    return array.ctypes.data


def test_memory_is_used_again_once_nobody_holds_it():
    buffers = Buffers(12)
    first = buffers.take((4, 5), np.float32)
    where = address(first)
    assert where % ALIGNMENT == 0
    assert first.shape == (4, 5)
    part = first[1:, 2]  # holds the memory, too
    del first
    assert address(buffers.take((4, 5), np.float32)) != where
    del part
    assert address(buffers.take((4, 5), np.float32)) == where


def test_arrays_that_are_held_never_share_memory():
    buffers = Buffers(12)
    held = [buffers.take((3, 7), np.uint8) for _ in range(36)]
    for value, array in enumerate(held):
        array[...] = value
    assert all((array == value).all() for value, array in enumerate(held))
    held[5] = None
    other = buffers.take((2, 2), np.uint8)  # of another size: memory of its own
    other[...] = 99
    assert all((a == v).all() for v, a in enumerate(held) if a is not None)


def test_a_tensor_that_is_held_keeps_its_values():
    buffers = Buffers(12)

    def batch(number):
        array = buffers.take((64, 64, 3), np.float32)
        array[...] = number
        return array

    dataset = tf.data.Dataset.range(40).map(
        lambda number: tf.numpy_function(batch, [number], tf.float32),
        num_parallel_calls=3,
    )
    held = list(dataset)
    views = [np.asarray(tensor) for tensor in held]
    del held
    for _ in dataset:  # would write over what isn't held
        pass
    assert [float(view.min()) for view in views] == list(range(40))
    assert [float(view.max()) for view in views] == list(range(40))


def test_threads_never_get_the_same_memory():
    buffers, wrong = Buffers(12), []

    def work(number):
        for _ in range(300):
            array = buffers.take((50,), np.int64)
            array[...] = number
            if not (array == number).all():
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
