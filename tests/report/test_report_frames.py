"""What a page says of clips, on a run written by hand: predictions, and numbers along time."""

import numpy as np
import pytest
from made_run import SHARED, make_run, measured, records

from ulzoo.clips import GIVEN, animated_grid, marked, write_clip
from ulzoo.images import side_by_side, write_png
from ulzoo.report.frames import bits_by_frame, frames_given, predictions, quality_by_frame
from ulzoo.report.reading import read_run

pytest.importorskip("matplotlib", reason="the extra `report` is not installed")

BY_FRAME = {"prediction": [30.0, 20.0], "copy_of_last_frame": [19.0, 15.5], "reconstruction": [33.0, 31.25]}


def lines(given=(0, 1, 2)):
    each = [{"index": 4, "label": 1, "psnr": 24.75}]
    how = {"given": list(given)}
    shown = measured("stage2/heldout/examples/prediction_psnr", 24.75, "dB", extra={"images": each}, **how)
    by_frame = {f"{way}_by_frame": values for way, values in BY_FRAME.items()}
    quality = measured("stage2/heldout/prediction_psnr", 25.0, "dB", extra=by_frame, given=3, clips=7)
    bits = {"by_frame": [40.0, 22.5]}
    price = measured(
        "stage1/heldout/bits_per_latent_frame", 31.25, "bits/frame", extra=bits, rate="upper bound"
    )
    return [*records(), shown, quality, price]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    directory = make_run(tmp_path_factory.mktemp("frames") / "run", lines=lines())
    clip = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1), np.uint8)
    both = [marked(clip, np.arange(5) < 3)] * 2
    write_clip(directory / "examples/000-prediction.webp", animated_grid(both, 2))
    write_png(directory / "examples/000-prediction.png", side_by_side(*both))
    return read_run(directory)


def test_predictions_play_and_lie_frame_by_frame(run):
    import base64
    import io

    from PIL import Image

    (shown,) = predictions(run)
    assert shown.words == ("class 1", "24.8 dB")
    assert shown.player.startswith("data:image/webp;base64,")
    picture = Image.open(io.BytesIO(base64.b64decode(shown.frames.partition(",")[2])))
    # Five frames of ten pixels and four gaps, twice; the third frame is the last that was given.
    assert picture.size == (58, 22)
    assert picture.convert("RGB").getpixel((24, 0)) == GIVEN
    assert picture.convert("RGB").getpixel((36, 0)) == (0, 0, 0)
    assert frames_given(run) == "1 to 3"


@pytest.mark.parametrize(
    ("given", "words"), [((0,), "1"), ((0, 15), "1 and 16"), ((0, 1, 4, 5), "1 to 2 and 5 to 6"), ((), "")]
)
def test_given_frames_in_words(tmp_path, given, words):
    assert frames_given(read_run(make_run(tmp_path / "run", lines=lines(given)))) == words


def test_quality_along_time(run):
    (figure,) = quality_by_frame(run)
    head, first, last = figure.rows
    assert head == ("frame", "prediction", "copy of the last given frame", "true frames, reconstructed")
    # The frames after the three given ones.
    assert first == ("4", "30", "19", "33")
    assert last == ("5", "20", "15.5", "31.25")
    assert "after 3 given frames" in figure.caption
    assert "linear motion" not in figure.svg


def test_bits_along_time(run):
    figure = bits_by_frame(run)
    assert figure.rows == (("frame of the latent", "bits"), ("1", "40"), ("2", "22.5"))
    assert "(upper bound): from 22.5 to 40, 62.5 in all" in figure.caption


def test_a_page_of_images_says_nothing_of_frames(tmp_path):
    run = read_run(make_run(tmp_path / "run"))
    assert (predictions(run), quality_by_frame(run), bits_by_frame(run)) == ([], [], None)


def test_the_page_has_all_of_it(run):
    from ulzoo.report.page import page

    text = page(run)
    for words in (
        'id="predictions-h"',
        "Frames with a bright border were given: 1 to 3.",
        "Bits by frame of the latent",
        "PSNR of predicted frames",
    ):
        assert words in text
    assert SHARED["spec_hash"] in text


def test_a_prediction_that_is_gone_is_left_out(tmp_path):
    directory = make_run(tmp_path / "run", lines=lines())
    assert predictions(read_run(directory)) == []


def test_predictions_whose_clips_are_gone_are_named(tmp_path):
    from ulzoo.report.gaps import gaps
    from ulzoo.report.pictures import examples, sheet

    run = read_run(make_run(tmp_path / "run", lines=lines()))
    assert gaps(run, sheet(run), examples(run), predictions(run)) == [
        f"0 of 1 predictions are shown: in {run.examples} the pictures of 000 are missing, damaged or too"
        " heavy for a page."
    ]
