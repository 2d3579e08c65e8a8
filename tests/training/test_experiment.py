"""The experiment's numbers on its 25,000 pictures."""

import pytest

from tfpipe.data.conversion.config import ConvertConfig
from tfpipe.data.conversion.convert import convert
from tfpipe.training.config import RunConfig
from tfpipe.training.run import train


@pytest.mark.real
@pytest.mark.slow
def test_an_epoch_is_586_steps_and_an_evaluation_196_batches(real_zip, tmp_path):
    records = tmp_path / "records"
    convert(ConvertConfig(image_dir=str(real_zip), records_dir=str(records)))
    config = RunConfig.of(
        records_dir=str(records),
        runs_dir=str(tmp_path / "runs"),
        model="small_cnn",
        image_size=16,
        max_steps=2,
    )
    record = train(config, say=lambda line: None)
    facts = record.facts
    assert facts["steps_per_epoch"] == 586
    assert facts["split_sizes"] == {"train": 18_750, "validation": 6_250}
    assert facts["class_names"] == ["dog", "cat"]
    assert facts["validation_class_counts"] == [3_125, 3_125]
    [line] = record.evaluations
    assert line["learning_rate"] == pytest.approx(1e-4 / (1 + 1e-6 * 2))
    # 30 pictures in the last of 586 steps: 585 x 32 + 30.
    assert facts["train_examples"] == 585 * 32 + 30
