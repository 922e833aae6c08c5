"""`sample`, `reconstruct` and `evaluate` on a finished run, in this process: programs are compiled once."""

import argparse
import json
import math
import shutil

import numpy as np
import pytest
from PIL import Image
from small_run import finished_run, start

from ulzoo.cli import main
from ulzoo.cli.sample_command import changes
from ulzoo.components.samplers.ddim import DDIMConfig
from ulzoo.images import write_png
from ulzoo.registry import Registry


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return shutil.copytree(finished_run().directory, tmp_path_factory.mktemp("pictures") / "run")


@pytest.fixture
def sample(run, tmp_path, capsys):
    """Draws with the given options; returns the folder and the pictures by name."""
    count = iter(range(100))

    def draw(*options):
        folder = tmp_path / str(next(count))
        assert main(["sample", str(run), "-n", "4", "--out", str(folder), *options]) == 0
        files = sorted(folder.glob("0*.png"))
        return folder, {path.name: np.asarray(Image.open(path)) for path in files}

    return draw


def same(first, second):
    return all((a == b).all() for a, b in zip(first.values(), second.values(), strict=True))


def protocol(folder):
    return json.loads((folder / "protocol.json").read_text())


def test_seed_label_and_steps_do_what_they_say(sample):
    folder, first = sample("--seed", "1")
    assert list(first) == [f"{i:05d}-class{i}.png" for i in range(4)]
    assert all(picture.shape == (8, 8) for picture in first.values())
    assert protocol(folder)["seed"] == 1
    assert protocol(folder)["sampler"] == {"type": "ulzoo.ddim.v1", "steps": 4}
    _, again = sample("--seed", "1")
    assert same(first, again)
    _, other = sample("--seed", "2")
    assert not same(first, other)

    _, labelled = sample("--seed", "1", "--label", "2")
    assert list(labelled) == [f"{i:05d}-class2.png" for i in range(4)]
    # The third of the first set was of class 2 too: same seed, same number, same class.
    assert (labelled["00002-class2.png"] == first["00002-class2.png"]).all()
    assert not (labelled["00000-class2.png"] == first["00000-class0.png"]).all()

    folder, guided = sample("--seed", "1", "--guidance", "3")
    assert not same(first, guided)
    assert protocol(folder)["guidance"]["scale"] == 3


def test_another_sampler_and_its_steps(sample):
    _, first = sample()
    options = ("--sampler", "heun", "--steps", "2", "--decoder-steps", "3")
    folder, other = sample(*options)
    assert protocol(folder)["sampler"] == {"type": "ulzoo.heun.v1", "steps": 2}
    assert protocol(folder)["decoder_sampler"]["steps"] == 3
    assert not same(first, other)


def test_another_sampler_takes_as_many_steps_unless_told():
    registry, own = Registry.discover(), DDIMConfig(steps=7)
    nothing = dict.fromkeys(("sampler", "steps", "decoder_steps", "guidance", "seed", "starts"))
    arguments = argparse.Namespace(**nothing | {"sampler": "heun"})
    told = changes(arguments, own, registry)
    assert told == {"sample.sampler.type": "ulzoo.heun.v1", "sample.sampler.steps": 7}
    arguments = argparse.Namespace(**nothing | {"steps": 3, "guidance": 0.0, "seed": 0})
    told = changes(arguments, own, registry)
    assert told == {"sample.sampler.steps": 3, "sample.guidance.scale": 0.0, "sample.seed": 0}


def test_samples_go_into_a_new_folder_each_time(run, capsys):
    for number in ("0001", "0002"):
        assert main(["sample", str(run), "-n", "4"]) == 0
        folder = run / "samples" / number
        assert capsys.readouterr().out == f"4 samples and grid.png: {folder}\n"
        assert (folder / "grid.png").is_file()


def test_reconstruct_says_bits_and_psnr_of_each_file(run, tmp_path, capsys):
    rng = np.random.default_rng(0)
    names = ["a.png", "b.png"]
    pictures = [rng.integers(0, 256, (8, 8, 1), dtype=np.uint8) for _ in names]
    for name, picture in zip(names, pictures, strict=True):
        write_png(tmp_path / name, picture)
    files = [str(tmp_path / name) for name in names]
    capsys.readouterr()
    assert main(["reconstruct", str(run), *files, "--out", str(tmp_path / "out")]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["file", "bits", "bits/pixel", "PSNR", "(rates:", "upper", "bound)"]
    for i, (line, picture) in enumerate(zip(lines, pictures, strict=True)):
        name, bits, per_pixel, value, unit, path = line.split()
        assert (name, unit) == (names[i], "dB")
        # 64 pixels; printed with one and four decimals.
        assert float(bits) / 64 == pytest.approx(float(per_pixel), abs=1e-3)
        # Original and reconstruction, 8 pixels wide each and 2 apart, every pixel shown as 8 by 8.
        both = np.asarray(Image.open(path))[::8, ::8]
        assert both.shape == (8, 18)
        assert (both[:, :8] == picture[..., 0]).all()
        error = np.square(both[:, :8].astype(float) - both[:, 10:]).mean()
        assert float(value) == pytest.approx(10 * math.log10(255**2 / error), abs=0.01)


def test_evaluate_adds_the_same_records_again(run):
    path = run / "metrics.jsonl"
    before = path.read_text().splitlines()
    # In a process like the one that measured first, so that the numbers are the same to the last bit.
    process = start("evaluate", run, "--stage", "2")
    output, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    after = path.read_text().splitlines()
    assert after[: len(before)] == before
    added = after[len(before) :]
    names = ["stage2/heldout/pca_frechet", "stage2/train/conditional_accuracy"]
    assert [json.loads(line)["name"] for line in added] == names
    *measured, told = output.splitlines()
    assert [line.split(" = ")[0] for line in measured] == names
    assert told == f"report: {run / 'report.html'}"
    assert set(added) <= set(before)
    assert all(json.loads(line)["protocol"]["training_steps"] == 40 for line in added)
