"""Metrics of an evaluation, by hand and against definitions written out."""

import numpy as np
import pytest

from tfpipe.training.measure import METRICS, MONITORS, Evaluation
from tfpipe.training.updates import class_weights


def evaluation(labels, answers, num_classes):
    """An evaluation whose most probable classes are `answers`."""
    rows = np.full((len(labels), num_classes), 0.1, np.float32)
    rows[np.arange(len(labels)), answers] = 0.9
    return Evaluation(
        source_ids=np.arange(len(labels)),
        labels=np.array(labels),
        probabilities=rows / rows.sum(axis=1, keepdims=True),
    )


def test_two_uneven_classes_by_hand():
    # 8 dogs, 6 of them answered; 2 cats, 1 of them answered.
    found = evaluation([0] * 8 + [1] * 2, [0] * 6 + [1] * 2 + [1, 0], 2)
    assert found.accuracy == 0.7
    assert found.recalls == [0.75, 0.5]
    assert found.balanced_accuracy == 0.625
    # F1 of dogs 12 / (8 + 7), of cats 2 / (2 + 3)
    assert found.macro_f1 == pytest.approx((12 / 15 + 2 / 5) / 2)
    assert found.predicted_shares == [0.7, 0.3]
    assert list(found.metrics) == ["loss", "accuracy", "balanced_accuracy", "macro_f1"]


def test_a_class_without_pictures_counts_only_where_it_is_answered():
    found = evaluation([0, 0, 1, 1], [0, 2, 1, 1], 4)
    assert found.recalls == [0.5, 1.0, None, None]
    assert found.balanced_accuracy == 0.75
    # scikit-learn's f1_score(average="macro"): classes 0, 1 and 2.
    assert found.macro_f1 == pytest.approx((2 / 3 + 1 + 0) / 3)


@pytest.mark.parametrize("num_classes", [2, 10, 300])
def test_many_uneven_classes_against_the_definitions(num_classes):
    random = np.random.default_rng(num_classes)
    share = random.random(num_classes) ** 3
    labels = random.choice(num_classes, 2000, p=share / share.sum())
    probabilities = random.dirichlet(np.full(num_classes, 0.3), 2000).astype(np.float32)
    probabilities[::2, :] *= 0.2
    probabilities[np.arange(0, 2000, 2), labels[::2]] += 0.8
    found = Evaluation(
        source_ids=np.arange(2000), labels=labels, probabilities=probabilities
    )
    answers = probabilities.argmax(axis=1)
    recalls, scores = [], []
    for label in range(num_classes):
        right = np.sum((labels == label) & (answers == label))
        true, answered = np.sum(labels == label), np.sum(answers == label)
        if true:
            recalls.append(right / true)
        if true + answered:
            scores.append(2 * right / (true + answered))
    assert found.balanced_accuracy == pytest.approx(np.mean(recalls))
    assert found.macro_f1 == pytest.approx(np.mean(scores))
    top = np.argsort(-probabilities, axis=1)[:, :5]
    assert found.top_5_accuracy == pytest.approx((top == labels[:, None]).any(1).mean())
    assert ("top_5_accuracy" in found.metrics) == (num_classes > 5)
    assert {f"val_{name}" for name in METRICS} <= set(MONITORS)


def test_balanced_weights_give_every_class_the_same_sum():
    assert class_weights("none", [1, 9]) is None
    weights = class_weights("balanced", [30, 10, 0, 20])
    assert [weights[label] * count for label, count in enumerate([30, 10, 0, 20])] == [
        20,
        20,
        0,
        20,
    ]
