"""Which images are shown, and what is recorded of them."""

import numpy as np
import pytest

from ulzoo.examples import Examples, example_records, in_turn


def test_each_class_in_turn_and_the_rest_spread_evenly():
    labels = np.array([2, 2, 2, 0, 1, 0, 2, 1])
    # First of each class, then second of each, as far as they go; by class.
    assert list(in_turn(labels, 8, 5)) == [3, 5, 4, 7, 0]
    assert list(in_turn(labels, 8, 3)) == [3, 4, 0]
    # More classes than places: none is preferred.
    assert list(in_turn(np.arange(8), 8, 4)) == [0, 2, 4, 6]
    assert list(in_turn(None, 8, 4)) == [0, 2, 4, 6]
    assert list(in_turn(labels, 8, 12)) == list(range(8))


def examples(**changes):
    originals = np.zeros((2, 4, 4, 1), np.uint8)
    arguments = {
        "split": "heldout",
        "index": np.array([3, 9]),
        "labels": np.array([0, 1], np.int32),
        "originals": originals,
        "reconstructions": originals + np.array([1, 10], np.uint8).reshape(2, 1, 1, 1),
        "nats": np.log(2) * np.array([10.0, 30.0]),
        "maps": np.log(2) * np.array([[[4.0, 6.0]], [[10.0, 20.0]]]),
        "times": 16,
        "protocol": {"decoder_sampler": {"type": "ulzoo.ddim.v1"}, "seed": 0},
        "rate_seed": 5,
    }
    return Examples(**(arguments | changes))


def test_records_of_each_image():
    seen, priced = example_records(examples(), {"spec_hash": "abc"}, is_bound=True)
    assert (seen.name, seen.unit) == ("stage1/heldout/examples/psnr", "dB")
    # 20 log10(255) and 20 dB less for an error ten times as large.
    assert [one["psnr"] for one in seen.extra["images"]] == pytest.approx([48.1308, 28.1308], abs=1e-4)
    assert seen.value == pytest.approx(38.1308, abs=1e-4)
    assert seen.protocol["decoder_sampler"] == {"type": "ulzoo.ddim.v1"}
    assert (priced.name, priced.unit) == ("stage1/heldout/examples/bits", "bits/image")
    assert priced.value == pytest.approx(20.0)
    assert priced.extra["images"] == [
        {"index": 3, "label": 0, "bits": pytest.approx(10.0), "bits_by_position": [[4.0, 6.0]]},
        {"index": 9, "label": 1, "bits": pytest.approx(30.0), "bits_by_position": [[10.0, 20.0]]},
    ]
    assert priced.protocol == {
        "spec_hash": "abc",
        "split": "heldout",
        "images": 2,
        "times": 16,
        "seed": 5,
        "rate": "upper bound",
    }


def test_bits_of_clips_are_by_the_clip():
    clips = np.zeros((2, 3, 4, 4, 1), np.uint8)
    changed = examples(originals=clips, reconstructions=clips, maps=np.zeros((2, 1, 1, 2)))
    _, priced = example_records(changed, {}, is_bound=True)
    assert priced.unit == "bits/clip"


def test_without_labels_and_with_maps_too_large_for_a_line():
    unlabelled = examples(labels=None, maps=np.ones((2, 65, 64)))
    seen, priced = example_records(unlabelled, {}, is_bound=False)
    assert priced.protocol["rate"] == "proxy"
    assert [sorted(one) for one in priced.extra["images"]] == [["bits", "index"]] * 2
    assert [sorted(one) for one in seen.extra["images"]] == [["index", "psnr"]] * 2
