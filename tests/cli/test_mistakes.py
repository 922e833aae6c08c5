"""What a command line can get wrong: status 2, a sentence that helps, no traceback, nothing left behind."""

import json
import shutil
from pathlib import Path

import pytest
from small_run import SPEC, finished_run, without, write_spec

from ulzoo.cli import main
from ulzoo.errors import RunError
from ulzoo.images import write_png
from ulzoo.run import Run


@pytest.fixture
def spec(tmp_path):
    return write_spec(tmp_path)


def told(capsys, *arguments):
    """What is said on standard error by a command that must fail with status 2."""
    try:
        status = main(list(map(str, arguments)))
    except SystemExit as end:
        status = end.code
    printed = capsys.readouterr()
    assert status == 2, printed
    assert "Traceback" not in printed.err
    return printed.err


def test_no_command(capsys):
    assert "the following arguments are required: COMMAND" in told(capsys)


def test_unknown_command(capsys):
    assert "invalid choice: 'rnu'; did you mean 'run'? (choose from" in told(capsys, "rnu")
    assert "invalid choice: 'xyz' (choose from" in told(capsys, "xyz")


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [
        ("--steps", "0", "argument --steps: must be at least 1, got 0"),
        ("--steps", "two", "argument --steps: must be a whole number, got 'two'"),
        ("-n", "-3", "argument -n/--count: must not be negative, got -3"),
        ("--seed", "-1", "argument --seed: must not be negative, got -1"),
        ("--guidance", "-1", "argument --guidance: must be finite and not negative, got -1"),
        ("--guidance", "nan", "argument --guidance: must be finite and not negative, got nan"),
    ],
)
def test_numbers_out_of_bounds(capsys, option, value, text):
    assert text in told(capsys, "sample", "run", f"{option}={value}" if option != "-n" else f"-n{value}")


def test_a_spec_that_is_a_directory(capsys, tmp_path):
    assert str(tmp_path) in told(capsys, "run", tmp_path)
    assert str(tmp_path) in told(capsys, "check", tmp_path)


@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02", b"a: [", b"- 1", b"ulzoo: 1"])
def test_a_spec_that_is_none(capsys, tmp_path, content):
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    assert told(capsys, "check", path).startswith(f"{path}")
    assert told(capsys, "run", path, "--out", tmp_path / "run").startswith(f"{path}")
    assert not (tmp_path / "run").exists()


def test_an_override_is_named(capsys, spec):
    error = told(capsys, "check", spec, "--set", "stage1.steps=many")
    assert error.startswith("--set stage1.steps=many: stage1.steps: expected a whole number, got 'many'")


def test_run_needs_a_spec_or_a_directory(capsys):
    assert told(capsys, "run") == "give a spec, or --resume DIR\n"


def test_a_run_in_place_of_a_spec(capsys, tmp_path):
    assert told(capsys, "run", tmp_path) == f"{tmp_path}: is a folder, not a spec\n"
    (tmp_path / "manifest.json").touch()
    assert told(capsys, "run", tmp_path).endswith(
        f"\n    continue a run with: ulzoo run --resume {tmp_path}\n"
    )


def test_neither_a_spec_nor_a_run(capsys):
    for stage in "12":
        assert told(capsys, "train", "nowhere", "--stage", stage) == (
            "nowhere: there is neither a spec nor a run directory of this name\n"
        )


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("vit", "; did you mean 'ulzoo.vit.v1'?"),
        ("adamw", "; did you mean 'ulzoo.adamw.v1'?"),
        ("ulzoo.vti.v1", "; did you mean 'ulzoo.vit.v1'?"),
        ("v1", ""),
        ("qqq", ""),
    ],
)
def test_a_component_that_is_none(capsys, name, hint):
    assert told(capsys, "components", name).startswith(f"no component named '{name}'{hint}\n")


def test_resume_takes_nothing_else(capsys, spec):
    text = "--resume continues a run as it was started; leave out "
    assert told(capsys, "run", spec, "--resume", "x") == f"{text}a spec\n"
    assert told(capsys, "run", "--resume", "x", "--out", "y") == f"{text}--out\n"
    assert told(capsys, "run", "--resume", "x", "--set", "seed=1") == f"{text}--set\n"


def test_a_run_is_not_overwritten(capsys, spec):
    taken = finished_run().directory
    assert told(capsys, "run", spec, "--out", taken) == (
        f"{taken}: there is a run in this directory already\n"
        f"    continue it with --resume {taken}, or choose another directory with --out\n"
    )


def test_a_directory_with_other_things_is_not_used(capsys, spec, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").touch()
    assert "out: the directory is not empty" in told(capsys, "run", spec, "--out", tmp_path / "out")
    out = spec
    assert f"{out}: cannot make a run directory: there is a file of this name" in told(
        capsys, "run", spec, "--out", out
    )


def test_a_run_in_use(capsys, tmp_path):
    directory = shutil.copytree(finished_run().directory, tmp_path / "copy")
    with Run.open(directory, write=True):
        for command in (["run", "--resume"], ["evaluate"], ["train", "--stage", "1"]):
            assert f"{directory}: in use by another process (process id " in told(capsys, *command, directory)


def test_what_is_no_run(capsys, tmp_path):
    assert told(capsys, "evaluate", tmp_path) == (
        f"{tmp_path}: not a run directory: spec.yaml, resolved.yaml, manifest.json missing\n"
    )
    (tmp_path / "file").touch()
    assert "no such run directory" in told(capsys, "reconstruct", tmp_path / "file", "x.png")


def test_the_name_of_a_sampler(capsys):
    run = finished_run().directory
    assert told(capsys, "sample", run, "--sampler", "hen") == (
        "--sampler: no sampler named 'hen'; did you mean 'heun'?\n"
    )
    assert told(capsys, "sample", run, "--sampler", "zzz") == (
        "--sampler: no sampler named 'zzz'\n    samplers here: ancestral, ddim, dpmpp_2m, heun\n"
    )
    assert "did you mean 'ulzoo.ddim.v1'" in told(capsys, "sample", run, "--sampler", "ulzoo.dddim.v1")


def test_a_label_that_is_none(capsys):
    run = finished_run().directory
    assert told(capsys, "sample", run, "--label", "10") == "--label: must be from 0 to 9, got 10\n"


def test_an_output_folder_that_cannot_be_used(capsys, tmp_path):
    run = finished_run().directory
    (tmp_path / "file").touch()
    assert told(capsys, "sample", run, "--out", tmp_path / "file").startswith(
        f"{tmp_path / 'file'}: cannot be"
    )
    assert (
        told(capsys, "sample", run, "--out", tmp_path) == f"{tmp_path}: is not empty; choose another --out\n"
    )


def test_files_that_are_no_images(capsys, tmp_path):
    run = finished_run().directory
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n cut")
    for name in ("missing.png", "bad.png", "."):
        error = told(capsys, "reconstruct", run, tmp_path / name, "--out", tmp_path / "out")
        assert str(tmp_path / name) in error
    assert not (tmp_path / "out").exists()


UNCONDITIONAL = SPEC.replace("conditioners: [{type: ulzoo.class_label.v1, width: 8}]", "conditioners: []")


def test_sobol_starts_have_a_largest_latent(capsys):
    path = Path(__file__).parents[2] / "specs/imagenet512/ul-small.yaml"
    assert told(capsys, "check", path, "--set", "sample.starts=sobol") == (
        "--set sample.starts=sobol: sample.starts: a latent of 32768 values is too large for a Sobol"
        " sequence, of at most 21201\n    leave starts at independent\n"
    )


GUIDED = "decoder_sampler: {type: ulzoo.ddim.v1, steps: 2}, guidance: {scale: 2.0}"


def test_guidance_needs_something_to_be_guided_by(capsys, tmp_path):
    text = UNCONDITIONAL.replace("decoder_sampler: {type: ulzoo.ddim.v1, steps: 2}", GUIDED)
    path = write_spec(tmp_path, text)
    assert told(capsys, "check", path) == (
        f"{path}:22:65: sample.guidance.scale: 2 guides an unconditional model;"
        " it has nothing to be guided by\n"
        "    give base_model.conditioners, or leave guidance at 1\n"
        f"{path}:27:5: evaluate.3: ulzoo.conditional_accuracy.v1 asks for classes, but no conditioner tells"
        " the base model any\n"
        "    add {type: ulzoo.class_label.v1} to base_model.conditioners\n"
    )
    path = write_spec(tmp_path, SPEC.replace("width: 8}]", "width: 8, dropout: 0.0}]"))
    assert told(capsys, "check", path, "--set", "sample.guidance.scale=3") == (
        "--set sample.guidance.scale=3: sample.guidance.scale: 3 needs a model that also learns without its"
        " condition, but base_model.conditioners.0.dropout is 0\n"
        "    raise base_model.conditioners.0.dropout, or leave guidance at 1\n"
    )


def test_batches_that_a_mesh_cannot_divide_are_all_told(capsys, spec):
    error = told(capsys, "check", spec, "--set", "parallel.mesh.data=3")
    assert "stage1.batch_size: 8 is not a multiple of mesh.data = 3; nearest are 6 and 9" in error
    assert "stage2.batch_size: 8 is not a multiple of mesh.data = 3; nearest are 6 and 9" in error


def test_layouts_that_do_not_fit_are_told_where_the_devices_are_not(capsys, tmp_path):
    path = write_spec(
        tmp_path,
        f"""{SPEC}parallel:
  mesh: {{data: 2, fsdp: 3, tensor: -1}}
  rules:
    - {{match: '.*position', axes: [null, fsdp]}}
    - {{match: '.*weight', axes: default}}
  activations: [{{match: attention, axes: [null, tensor]}}]
""",
    )
    lines = told(capsys, "check", path).splitlines()
    assert lines[0].startswith(f"{path}:")
    told_at = {line.split(": ")[1]: line for line in lines if line.startswith(str(path))}
    assert told_at["stage1.batch_size"].endswith(
        "8 is not a multiple of mesh.data × mesh.fsdp = 6; nearest are 6 and 12"
    )
    assert told_at["parallel.rules.0.axes.1"].startswith(f"{path}:31:42: ")
    assert (
        "axis 1 of decoder.network.position, 8 long, is not a multiple of mesh.fsdp = 3"
        in (told_at["parallel.rules.0.axes.1"])
    )
    assert told_at["parallel.rules"].startswith(f"{path}:30:3: parallel.rules: no rule matches encoder.")
    assert told_at["parallel.activations.0.match"].endswith("no module is called 'attention', whole path")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("{mesh: {data: -1, fsdp: -1}}", "parallel.mesh: one axis at most can take what the others leave,"),
        ("{rules: [{match: '(', axes: default}]}", "parallel.rules.0.match: not a regular expression: "),
        ("{rules: [{match: a, axes: [fsdp, fsdp]}]}", "got 'fsdp' twice"),
        ("{rules: [{match: a, axes: [data]}]}", "parallel.rules.0.axes"),
    ],
)
def test_layouts_that_mean_nothing(capsys, spec, value, text):
    assert text in told(capsys, "check", spec, "--set", f"parallel={value}")


def test_metrics_of_samples_need_a_second_stage(capsys, tmp_path):
    path = write_spec(tmp_path, without(SPEC, "base_model", "stage2"))
    error = told(capsys, "check", path)
    assert "ulzoo.pca_frechet.v1 measures samples, but the spec has no stage 2" in error
    assert "ulzoo.conditional_accuracy.v1 measures samples, but the spec has no stage 2" in error


def test_metrics_of_classes_need_a_model_that_is_told_them(capsys, tmp_path):
    path = write_spec(tmp_path, UNCONDITIONAL)
    assert (
        "ulzoo.conditional_accuracy.v1 asks for classes, but no conditioner tells the base model any\n"
        "    add {type: ulzoo.class_label.v1} to base_model.conditioners\n"
    ) in told(capsys, "check", path)


def test_labels_are_for_models_that_are_told_them():
    import argparse

    from ulzoo.cli.sample_command import _labels

    asked = argparse.Namespace(label=3, count=2)
    assert _labels(asked, 10, True).tolist() == [3, 3]
    with pytest.raises(RunError, match="--label: the base model is not told classes"):
        _labels(asked, 10, False)
    assert _labels(argparse.Namespace(label=None, count=2), 10, False).tolist() == [0, 1]


@pytest.mark.parametrize("command", ["sample", "reconstruct", "interpolate"])
def test_a_seed_that_jax_would_cut_is_refused(capsys, command):
    files = {"sample": [], "reconstruct": ["a.png"], "interpolate": ["a.mp4", "b.mp4"]}[command]
    with pytest.raises(SystemExit) as stopped:
        main([command, "run", *files, "--seed", "99999999999999999999"])
    assert stopped.value.code == 2
    assert "must be less than 4294967296, got 99999999999999999999" in capsys.readouterr().err


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    """A run of a spec without a base model whose stage 1 is trained (its records are another run's)."""
    folder = tmp_path_factory.mktemp("half")
    text = without(SPEC, "base_model", "stage2")
    text = text[: text.index("  - {type: ulzoo.pca_frechet")]
    from ulzoo.spec import load_spec
    from ulzoo.stages import create_run

    with create_run(load_spec(write_spec(folder, text)), folder / "run") as run:
        run.mark_finished("stage1")
        run.mark_finished("evaluate1")
    return folder / "run"


def test_a_run_without_a_second_stage(capsys, half):
    assert told(capsys, "sample", half) == f"{half}: the spec has no stage 2 to sample from\n"
    assert told(capsys, "train", half, "--stage", "2") == f"{half}: the spec has no stage 2\n"
    assert told(capsys, "evaluate", half, "--stage", "2") == f"{half}: the spec has no stage 2\n"
    # Stage 1 is all there is to do.
    assert main(["run", "--resume", str(half)]) == 0


def test_a_stage_that_is_not_trained(capsys, tmp_path):
    from ulzoo.spec import load_spec
    from ulzoo.stages import create_run

    create_run(load_spec(write_spec(tmp_path)), tmp_path / "run").close()
    run = tmp_path / "run"
    assert told(capsys, "evaluate", run) == (
        f"{run}: no stage is trained yet\n    go on with: ulzoo run --resume {run}\n"
    )
    assert told(capsys, "sample", run) == (
        f"{run}: stage 1 has no checkpoint yet\n    train it with: ulzoo train {run} --stage 1\n"
    )
    assert told(capsys, "train", run, "--stage", "2") == (
        f"{run}: stage 1 is not finished\n    train it with: ulzoo train {run} --stage 1\n"
    )
    assert "stage 2 needs a run whose stage 1 is trained" in told(
        capsys, "train", tmp_path / "small.yaml", "--stage", "2"
    )


def test_data_that_are_no_images_are_not_reconstructed(capsys, tmp_path, monkeypatch):
    from ulzoo.data.digits import DigitsConfig
    from ulzoo.interfaces import DataIO

    monkeypatch.setattr(DigitsConfig, "io", lambda self: DataIO((2, 8, 8), 10))
    write_png(tmp_path / "a.png", __import__("numpy").zeros((8, 8, 1), "uint8"))
    error = told(capsys, "reconstruct", finished_run().directory, tmp_path / "a.png")
    assert "this run's data has the shape (2, 8, 8); only images and clips of 1 or 3 channels" in error


def test_check_prints_roles_and_does_not_stop_at_a_bad_file(capsys, spec, tmp_path):
    assert main(["check", str(tmp_path / "no.yaml"), str(spec)]) == 2
    printed = capsys.readouterr()
    assert f"{tmp_path / 'no.yaml'}" in printed.err
    lines = printed.out.splitlines()
    assert lines[0].startswith(f"{spec}: ok, spec ")
    manifest = json.loads((finished_run().directory / "manifest.json").read_text())
    assert manifest["spec_hash"].startswith(lines[0].rsplit(" ", 1)[1])
    assert [line.split()[0] for line in lines[1:]] == ["encoder", "prior", "decoder", "base_model", "all"]
    assert "ulzoo.resnet.v1" in lines[1]
    assert "1×8×8 → 2×4×4" in lines[1]
    assert main(["check", str(spec)]) == 0
