"""A run on clips and images together, of files with a rate: images, longer clips, and how fast they play."""

import json

import numpy as np
import pytest
from PIL import Image

from ulzoo.cli import main
from ulzoo.clips import FRAMES_PER_SECOND, GIVEN, read_frames, write_clip
from ulzoo.images import write_png

SIDE, FRAMES, FPS, FILMED = 8, 5, 5, 10

SPEC = """\
ulzoo: 1
name: both
data:
  type: ulzoo.with_images.v1
  clips:
    {type: ulzoo.video_folder.v1, root: ROOT, size: 8, channels: 1, heldout_fraction: 0.3, frames: 5, fps: 5}
  images:
    {type: ulzoo.video_folder.v1, root: ROOT, size: 8, channels: 1, heldout_fraction: 0.3, frames: 1}
encoder:
  {type: ulzoo.resnet.v1, patch: [4, 2, 2], channels: [8], blocks: [0], latent_channels: 2, causal: true}
prior: {type: ulzoo.normal_prior.v1}
decoder:
  type: ulzoo.mse_decoder.v1
  network:
    {type: ulzoo.vit.v1, width: 8, depth: 1, heads: 1, patch: [4, 2, 2], embedding_width: 8, causal: true}
  conditioners: [{type: ulzoo.class_label.v1, width: 8}]
base_model:
  type: ulzoo.diffusion_base.v1
  network: {type: ulzoo.vit.v1, width: 8, depth: 1, heads: 1, embedding_width: 8}
  conditioners:
    - {type: ulzoo.class_label.v1, width: 8}
    - {type: ulzoo.given_frames.v1, given: [[2, 0], [3, 0]], width: 8}
stage1: {steps: 2, batch_size: 4, optimizer: {type: ulzoo.adam.v1, learning_rate: 1e-2}}
stage2: {steps: 2, batch_size: 4, optimizer: {type: ulzoo.adam.v1, learning_rate: 1e-2}}
sample:
  {count: 4, batch_size: 4, sampler: {type: ulzoo.ddim.v1, steps: 1},
   decoder_sampler: {type: ulzoo.ddim.v1, steps: 1}}
"""


def film(number, frames=12):
    """Greys that rise from frame to frame, brighter on the right."""
    grey = 20 + number + 16 * np.arange(frames)[:, None, None, None]
    return np.broadcast_to(grey + 2 * np.arange(SIDE)[:, None], (frames, SIDE, SIDE, 1)).astype(np.uint8)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("both")
    for label in ("a", "b"):
        (folder / "videos" / label).mkdir(parents=True)
        for number in range(6):
            write_clip(folder / "videos" / label / f"{number}.gif", film(number), fps=FILMED)
    (folder / "both.yaml").write_text(SPEC.replace("ROOT", str(folder / "videos")))
    assert main(["run", str(folder / "both.yaml"), "--out", str(folder / "run")]) == 0
    return folder / "run"


@pytest.fixture
def seen(tmp_path):
    write_clip(tmp_path / "seen.webp", film(3), fps=FILMED)
    return str(tmp_path / "seen.webp")


def shown(path):
    """Frames as stored, and how many of them are seen a second."""
    frames = list(read_frames(path))
    return np.stack([np.asarray(one.picture) for one in frames]), len(frames) / frames[-1].end


def refused(capsys, *arguments):
    capsys.readouterr()
    assert main([str(each) for each in arguments]) == 2
    return capsys.readouterr().err


def test_images_are_drawn_by_a_model_of_both(run, tmp_path, capsys):
    out = tmp_path / "images"
    usual = ["sample", str(run), "-n", "4", "--seed", "3"]
    assert main([*usual, "--frames", "1", "--out", str(out)]) == 0
    names = sorted(path.name for path in out.iterdir())
    assert names == [*(f"0000{i}-class{i % 2}.png" for i in range(4)), "grid.png", "protocol.json"]
    pictures = [np.asarray(Image.open(out / name)) for name in names[:4]]
    assert all(picture.shape == (SIDE, SIDE) for picture in pictures)
    assert (pictures[0] != pictures[1]).any()
    assert json.loads((out / "protocol.json").read_text())["frames"] == 1
    # As ever, each depends on its number alone, and on its class.
    assert main([*usual[:-4], "-n", "2", "--seed", "3", "--frames", "1", "--out", str(tmp_path / "two")]) == 0
    assert (np.asarray(Image.open(tmp_path / "two" / names[1])) == pictures[1]).all()


def test_drawn_clips_go_on_chunk_by_chunk(run, tmp_path, capsys):
    for name, *more in (("usual",), ("long", "--frames", "9"), ("other", "--frames", "9", "--overlap", "1")):
        out = ["--out", str(tmp_path / name), "--format", "gif"]
        assert main(["sample", str(run), "-n", "2", *more, *out]) == 0
        # Two frames are the first pair of the conditioner; one was never given alone.
        assert ("note: the base model is given the first 1" in capsys.readouterr().err) == (name == "other")
    usual, long = (shown(tmp_path / name / "00001-class1.gif")[0] for name in ("usual", "long"))
    assert len(usual) <= FRAMES < len(long) <= 9
    np.testing.assert_array_equal(long[: len(usual)], usual)
    told = json.loads((tmp_path / "long" / "protocol.json").read_text())
    assert (told["frames"], told["overlap"]) == (9, 2)


def test_lengths_that_it_does_not_make_are_told(run, tmp_path, capsys):
    def says(*more):
        return refused(capsys, "sample", run, "-n", "1", "--out", tmp_path / "none", *more)

    assert "--frames: must be 1 or at least the 5 of a clip in training, got 3" in says("--frames", "3")
    assert "--overlap: must be less than a clip's 5 frames" in says("--frames", "9", "--overlap", "5")
    assert "--overlap: is for --frames above the trained length" in says("--overlap", "2")


def test_a_picture_is_a_clip_of_one_frame(run, seen, tmp_path, capsys):
    write_png(tmp_path / "photo.png", film(2)[0])
    out = tmp_path / "out"
    assert main(["reconstruct", str(run), str(tmp_path / "photo.png"), seen, "--out", str(out)]) == 0
    photo, clip = capsys.readouterr().out.splitlines()[-2:]
    # Bits of each, over its own pixels.
    for line, pixels in ((photo, SIDE * SIDE), (clip, FRAMES * SIDE * SIDE)):
        bits, per_pixel = map(float, line.split()[1:3])
        assert bits / pixels == pytest.approx(per_pixel, abs=1e-3)
    with Image.open(out / "0000-photo.png") as pair:
        assert pair.size == (8 * (2 * SIDE + 2), 8 * SIDE)
        assert (np.asarray(pair)[::8, : 8 * SIDE : 8] == film(2)[0, ..., 0]).all()
    # A WebP of one frame is a picture, too, whatever the rate of the data.
    Image.fromarray(film(2)[0, ..., 0]).save(tmp_path / "photo.webp", lossless=True)
    again = tmp_path / "again"
    assert (
        main(["reconstruct", str(run), str(tmp_path / "photo.webp"), "--fps", "30", "--out", str(again)]) == 0
    )
    assert (again / "0000-photo.png").read_bytes() == (out / "0000-photo.png").read_bytes()
    # A clip plays, and lies frame by frame, the original above.
    with Image.open(out / "0001-seen-frames.png") as sheet:
        assert sheet.size == (8 * (FRAMES * (SIDE + 2) - 2), 8 * (2 * SIDE + 2))
        # Every second of the file's frames, as the data takes them.
        row = np.asarray(sheet)[::8, ::8][:SIDE, : FRAMES * (SIDE + 2)]
        for t in range(FRAMES):
            place = t * (SIDE + 2)
            assert (row[:, place : place + SIDE] == film(3)[2 * t, ..., 0]).all()


def test_a_decoder_that_is_told_the_class_is_told_it(run, seen, tmp_path, capsys):
    usual = ["reconstruct", str(run), seen]
    made = []
    for name, more in (("0", ["--label", "0"]), ("1", ["--label", "1"])):
        assert main([*usual, *more, "--out", str(tmp_path / name)]) == 0
        made.append(shown(tmp_path / name / "0000-seen.webp")[0])
    assert (made[0] != made[1]).any()
    assert "--label: must be from 0 to 1, got 2" in refused(capsys, *usual, "--label", "2")
    assert "--label: not with --whole" in refused(capsys, *usual, "--label", "1", "--whole")


def test_clips_are_taken_and_played_at_the_rate_of_the_data(run, seen, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["predict", str(run), seen, "--out", str(out)]) == 0
    captured = capsys.readouterr()
    assert "note:" not in captured.err
    made, rate = shown(out / "0000-seen.webp")
    assert rate == pytest.approx(FPS, rel=0.01)
    # Two frames are given, as the conditioner's first pair says: the file's first and third.
    assert [bool((frame[0] == GIVEN).all()) for frame in made] == [True] * 2 + [False] * (len(made) - 2)
    for t in range(2):
        assert (made[t, 8:-8:8, 8:-8:8, 0] == film(3)[2 * t, ..., 0]).all()
    assert shown(run / "samples" / "grid.webp")[1] == pytest.approx(FPS, rel=0.01)
    assert shown(next((run / "examples").glob("*-original.webp")))[1] == pytest.approx(FPS, rel=0.01)
    # Another rate, where it is asked for.
    assert main(["predict", str(run), seen, "--fps", "10", "--out", str(tmp_path / "all")]) == 0
    faster, rate = shown(tmp_path / "all" / "0000-seen.webp")
    assert rate == pytest.approx(10, rel=0.01)
    assert (faster[1, 8:-8:8, 8:-8:8, 0] == film(3)[1, ..., 0]).all()
    assert FPS != FRAMES_PER_SECOND


def test_files_are_cropped_as_the_data_are(tmp_path):
    from ulzoo.cli.clip_files import read_clip
    from ulzoo.data.videos import VideoFolderConfig
    from ulzoo.data.viewing import viewing
    from ulzoo.data.with_images import WithImagesConfig

    (tmp_path / "v").mkdir()
    rng = np.random.default_rng(0)
    write_clip(tmp_path / "v" / "a.webp", rng.integers(0, 256, (6, 24, 30, 3), np.uint8))
    usual = {"root": str(tmp_path / "v"), "labels": "none", "size": 8, "crop_size": 12, "resize": "box"}
    clips = VideoFolderConfig(frames=3, stride=2, heldout_root=str(tmp_path / "v"), **usual)
    both = WithImagesConfig(clips=clips, images=VideoFolderConfig(frames=1, **usual))
    expected = clips.open("heldout")[0]["image"]
    # The held-out clip is the middle in time: of six frames every second, from the first.
    seen = read_clip(tmp_path / "v" / "a.webp", (3, 3, 8, 8), viewing(both))
    np.testing.assert_array_equal(seen.clip, expected)
    # WebP keeps milliseconds: 125 of each frame.
    assert seen.fps == pytest.approx(FRAMES_PER_SECOND / 2)


@pytest.mark.parametrize("form", ["mp4", "gif"])
def test_samples_in_other_formats(run, tmp_path, form):
    if form == "mp4":
        pytest.importorskip("av")
    out = tmp_path / form
    assert main(["sample", str(run), "-n", "2", "--format", form, "--out", str(out)]) == 0
    for path in (out / f"00000-class0.{form}", out / f"grid.{form}"):
        assert shown(path)[1] == pytest.approx(FPS, rel=0.01)


def test_what_training_never_gave_is_noted(run, seen, tmp_path, capsys):
    write_png(tmp_path / "a.png", film(1)[0])
    ends = [str(tmp_path / "a.png")] * 2
    assert main(["interpolate", str(run), *ends, "--out", str(tmp_path / "between")]) == 0
    assert (
        "note: the base model is given the first 1 and the last 1 (given: [1, 1]); in training it was given"
        " the first 2 (given: [2, 0]), the first 3 (given: [3, 0])"
    ) in capsys.readouterr().err
    # A picture is a beginning, too.
    begin = ["predict", str(run), str(tmp_path / "a.png"), "--given", "1", "--out", str(tmp_path / "begun")]
    assert main(begin) == 0
    assert "note: the base model is given the first 1 (given: [1, 0])" in capsys.readouterr().err
    made, _ = shown(tmp_path / "begun" / "0000-a.webp")
    assert (made[0, 8:-8:8, 8:-8:8, 0] == film(1)[0, ..., 0]).all()


def test_mp4_without_pyav_costs_no_drawing(run, seen, tmp_path, capsys, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setattr("ulzoo.stages.evaluation_of", lambda *_, **__: pytest.fail("the model was read"))
    for arguments in (["sample", run], ["predict", run, seen], ["reconstruct", run, seen]):
        assert "ulzoo[video]" in refused(capsys, *arguments, "--format", "mp4")
