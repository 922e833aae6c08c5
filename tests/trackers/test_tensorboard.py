"""Event files, read back by TensorBoard's own reader."""

import json
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from ulzoo.records import Record
from ulzoo.trackers.base import Picture, TrackerIO
from ulzoo.trackers.tensorboard import TensorBoardConfig

pytest.importorskip("tensorboardX", reason="the extra `tensorboard` is not installed")
reader = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator", reason="tensorboard is not installed"
)


def loss(step, value, stage="stage1"):
    return Record(step, stage, f"{stage}/train/loss", value, "bits/pixel", {"rate": "proxy"})


def read(folder, stage="stage1"):
    return reader.EventAccumulator(str(folder / "tensorboard" / stage)).Reload()


def scalars(folder, stage="stage1"):
    return [(event.step, event.value) for event in read(folder, stage).Scalars(f"{stage}/train/loss")]


@pytest.fixture
def io(tmp_path):
    return TrackerIO(tmp_path, "name", {"ulzoo": 1}, "hash")


def test_numbers_words_and_pictures(io, tmp_path):
    tracker = TensorBoardConfig().build(io)
    tracker.resume("stage1", 0)
    tracker.records([loss(10, 2.0), loss(20, 1.5), loss(5, float("inf"), "stage2")])
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8, 1)
    tracker.pictures([Picture(20, "stage1", "stage1/samples", grey)])
    tracker.close()
    events = read(tmp_path)
    assert scalars(tmp_path) == [(10, 2.0), (20, 1.5)]
    assert scalars(tmp_path, "stage2") == [(5, float("inf"))]
    assert events.SummaryMetadata("stage1/train/loss").summary_description == "bits/pixel, proxy"
    (image,) = events.Images("stage1/samples")
    assert (image.step, image.width, image.height) == (20, 8, 8)
    shown = Image.open(BytesIO(image.encoded_image_string)).convert("L")
    assert (np.asarray(shown) == grey[..., 0]).all()
    (text,) = events.Tensors("spec/text_summary")
    assert json.loads(text.tensor_proto.string_val[0]) == {"ulzoo": 1}


def test_a_stage_that_goes_on_forgets_what_comes_again(io, tmp_path):
    first = TensorBoardConfig().build(io)
    first.resume("stage1", 0)
    first.records([loss(step, 1.0) for step in (10, 20, 30)])
    first.close()
    # Killed at step 30, continued at the checkpoint of step 10; all within one second.
    second = TensorBoardConfig().build(io)
    second.resume("stage1", 10)
    second.records([loss(step, 2.0) for step in (20, 30)])
    second.close()
    assert scalars(tmp_path) == [(10, 1.0), (20, 2.0), (30, 2.0)]
    # Stage 2 has steps of its own, and an evaluation later on forgets nothing.
    third = TensorBoardConfig().build(io)
    third.resume("stage2", 0)
    third.records([loss(10, 3.0, "stage2"), loss(40, 4.0)])
    third.close()
    assert scalars(tmp_path) == [(10, 1.0), (20, 2.0), (30, 2.0), (40, 4.0)]
    assert scalars(tmp_path, "stage2") == [(10, 3.0)]
