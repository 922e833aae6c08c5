"""A run on clips: trained, measured, sampled, reconstructed, predicted; in files that play."""

import json

import numpy as np
import pytest
from small_run import start

from ulzoo.cli import main
from ulzoo.clips import GIVEN, at_rate, read_frames, write_clip
from ulzoo.data.moving_digits import MovingDigitsConfig
from ulzoo.images import write_png

SPEC = """\
ulzoo: 1
name: clips
data: {type: ulzoo.moving_digits.v1, size: 12, digit_size: 8, frames: 4, speed: [1, 1]}
encoder: {type: ulzoo.resnet.v1, patch: [2, 4, 4], channels: [8], blocks: [0], latent_channels: 2}
prior: {type: ulzoo.normal_prior.v1}
decoder:
  type: ulzoo.mse_decoder.v1
  network: {type: ulzoo.vit.v1, width: 8, depth: 1, heads: 1, patch: [2, 4, 4], embedding_width: 8}
base_model:
  type: ulzoo.diffusion_base.v1
  network: {type: ulzoo.vit.v1, width: 8, depth: 1, heads: 1, embedding_width: 8}
  conditioners:
    - {type: ulzoo.class_label.v1, width: 8}
    - {type: ulzoo.given_frames.v1, given: [[2, 0], [1, 1]], width: 8}
stage1: {steps: 4, batch_size: 8, optimizer: {type: ulzoo.adam.v1}}
stage2: {steps: 4, batch_size: 8, optimizer: {type: ulzoo.adam.v1}}
sample:
  {count: 12, batch_size: 16, sampler: {type: ulzoo.ddim.v1, steps: 2},
   decoder_sampler: {type: ulzoo.ddim.v1, steps: 1}}
evaluate:
  - {type: ulzoo.bits_per_pixel.v1, count: 16, times: 2}
  - {type: ulzoo.prediction_psnr.v1, count: 16, given: 2, horizon: 1}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    (folder / "clips.yaml").write_text(SPEC)
    process = start("run", folder / "clips.yaml", "--out", folder / "run")
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr[-3000:]
    return folder / "run"


def frames(path):
    return np.stack([np.asarray(picture) for picture in at_rate(read_frames(path), 8)])


def some_clip(index=3):
    config = MovingDigitsConfig(size=12, digit_size=8, frames=4, speed=(1, 1))
    return config.open("heldout")[index]["image"]


def test_a_run_measures_and_shows_clips(run):
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    found = {record["name"]: record for record in records}
    gain = found["stage2/heldout/prediction_gain_over_copy"]
    assert gain["unit"] == "dB"
    assert gain["protocol"]["given"] == 2
    # Twelve clips in ten columns of twelve pixels, two pixels apart, five times as large.
    sheet = frames(run / "samples" / "grid.webp")
    assert sheet.shape == (4, 5 * (2 * 12 + 2), 5 * (10 * 12 + 9 * 2), 3)
    assert len(list((run / "examples").glob("*-reconstruction.webp"))) > 0
    page = (run / "report.html").read_text()
    assert page.count("data:image/webp;base64,") > 2
    # What a clip's latent costs, frame by frame: two frames to one of the latent.
    each = found["stage1/heldout/bits_per_latent_frame"]
    assert len(each["extra"]["by_frame"]) == 2
    assert 2 * each["value"] == pytest.approx(sum(each["extra"]["by_frame"]), rel=1e-6)
    assert 2 * each["value"] == pytest.approx(12 * 12 * 4 * found["stage1/heldout/bits_per_pixel"]["value"])
    assert "Bits by frame of the latent" in page


def test_a_run_shows_how_clips_go_on(run):
    """From the two frames that are the first of the conditioner's pairs; as the metric has predicted them."""
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    record = next(r for r in records if r["name"] == "stage2/heldout/examples/prediction_psnr")
    assert record["protocol"]["given"] == [0, 1]
    shown = sorted((run / "examples").glob("*-prediction.webp"))
    assert len(shown) == len(record["extra"]["images"]) == 8
    index = record["extra"]["images"][0]["index"]
    truth, made = np.split(frames(shown[0]), [14 + 1], axis=2)
    made = made[:, :, 1:]
    assert (truth[:, 1:13, 1:13, 0] == some_clip(index)[..., 0]).all()
    assert (made[:2, 1:13, 1:13] == truth[:2, 1:13, 1:13]).all()
    assert (made[:2, 0] == GIVEN).all()
    assert (made[2:, 0] == 0).all()
    page = (run / "report.html").read_text()
    assert "Frames with a bright border were given: 1 to 2." in page
    assert "PSNR of predicted frames" in page


def test_predict_keeps_what_is_given_and_says_how_good_the_rest_is(run, tmp_path, capsys):
    clip = some_clip()
    write_clip(tmp_path / "seen.webp", clip)
    out = tmp_path / "out"
    arguments = ["predict", str(run), str(tmp_path / "seen.webp"), "--given", "2", "--out", str(out)]
    assert main([*arguments, "--fps", "8", "--label", "1"]) == 0
    printed = capsys.readouterr().out
    assert "PSNR of predicted frames" in printed
    made = frames(out / "0000-seen.webp")
    assert made.shape == (4, 70, 70, 3)
    # Given frames are the file's own, inside a bright border; predicted ones have a dark border.
    assert (made[:2, 5:-5:5, 5:-5:5, 0] == clip[:2, ..., 0]).all()
    assert (made[:2, 0] == GIVEN).all()
    assert (made[2:, 0] == 0).all()
    assert json.loads((out / "protocol.json").read_text())["given"] == [0, 1]
    # The future of the file makes no difference.
    changed = clip.copy()
    changed[2:] = 255
    write_clip(tmp_path / "seen.webp", changed)
    again = tmp_path / "again"
    assert main([*arguments[:-1], str(again), "--fps", "8", "--label", "1"]) == 0
    assert (frames(again / "0000-seen.webp") == made).all()


def test_interpolate_joins_two_images(run, tmp_path):
    clip = some_clip()
    for name, place in (("a", 0), ("b", 3)):
        write_png(tmp_path / f"{name}.png", clip[place])
    files = [str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    assert main(["interpolate", str(run), *files, "--out", str(tmp_path / "out"), "--format", "gif"]) == 0
    made = frames(tmp_path / "out" / "a-to-b.gif")
    assert (made[0, 5:-5:5, 5:-5:5, 0] == clip[0, ..., 0]).all()
    assert (made[3, 5:-5:5, 5:-5:5, 0] == clip[3, ..., 0]).all()


def test_sample_and_reconstruct_write_clips(run, tmp_path, capsys):
    assert main(["sample", str(run), "-n", "3", "--out", str(tmp_path / "samples")]) == 0
    assert frames(tmp_path / "samples" / "00000-class0.webp").shape == (4, 12, 12, 3)
    assert (tmp_path / "samples" / "grid.webp").exists()
    write_clip(tmp_path / "seen.gif", some_clip())
    capsys.readouterr()
    assert main(["reconstruct", str(run), str(tmp_path / "seen.gif"), "--out", str(tmp_path / "pairs")]) == 0
    assert "dB" in capsys.readouterr().out
    assert frames(tmp_path / "pairs" / "0000-seen.webp").shape == (4, 60, 130, 3)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["predict", "RUN", "missing.webp", "--given", "2"], "missing.webp"),
        (["predict", "RUN", "missing.webp", "--given", "4"], "--given: must be less than a clip's 4 frames"),
        (["interpolate", "RUN", "a.png", "missing.png"], "missing.png"),
    ],
)
def test_mistakes_are_told(run, tmp_path, monkeypatch, capsys, arguments, says):
    monkeypatch.chdir(tmp_path)
    write_png("a.png", some_clip()[0])
    assert main([str(run) if each == "RUN" else each for each in arguments]) == 2
    assert says in capsys.readouterr().err


def test_a_prediction_of_any_length_goes_on_chunk_by_chunk(run, tmp_path, capsys):
    clip = some_clip()
    write_clip(tmp_path / "seen.webp", clip)
    usual = ["predict", str(run), str(tmp_path / "seen.webp"), "--given", "2", "--fps", "8"]
    for name, more in (
        ("long", ["--frames", "9", "--overlap", "1"]),
        ("longer", ["--frames", "11", "--overlap", "1"]),
    ):
        assert main([*usual, *more, "--out", str(tmp_path / name)]) == 0
    made, longer = (frames(tmp_path / name / "0000-seen.webp") for name in ("long", "longer"))
    assert made.shape == (9, 70, 70, 3)
    # Two frames are given; one chunk of four adds two, later ones three each. A longer one begins the same.
    assert (longer[:9] == made).all()
    assert (made[:2, 0] == GIVEN).all()
    assert (made[2:, 0] == 0).all()
    told = json.loads((tmp_path / "long" / "protocol.json").read_text())
    assert (told["frames"], told["overlap"], told["given"]) == (9, 1, [0, 1])
    capsys.readouterr()
    for more, words in (
        (["--frames", "2"], "more than the 2 given"),
        (["--overlap", "4"], "less than a clip's 4"),
    ):
        assert main([*usual, *more]) == 2
        assert words in capsys.readouterr().err


def test_whole_files_are_reconstructed_in_windows(run, tmp_path, capsys):
    rng = np.random.default_rng(0)
    # Cut to 10 frames of 16×24: the factors are 2×4×4, the trained shape 4×12×12.
    write_clip(tmp_path / "large.webp", rng.integers(0, 256, (11, 19, 27, 3), dtype=np.uint8))
    usual = ["reconstruct", str(run), str(tmp_path / "large.webp"), "--whole"]
    assert main([*usual, "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out.splitlines()[-1]
    assert "10×16×24" in printed
    assert frames(tmp_path / "out" / "0000-large.webp").shape == (10, 16, 2 * 24 + 2, 3)
    assert main([*usual, "--overlap", "1"]) == 2
    assert "below 1" in capsys.readouterr().err
    write_clip(tmp_path / "small.webp", rng.integers(0, 256, (3, 12, 12, 3), dtype=np.uint8))
    assert main(["reconstruct", str(run), str(tmp_path / "small.webp"), "--whole"]) == 2
    assert "2×12×12 is less than the 4×12×12" in capsys.readouterr().err
