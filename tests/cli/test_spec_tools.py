"""`show`, `diff`, `schema`, and what `check` and `run` warn about, as commands."""

from __future__ import annotations

import json

import pytest
from small_run import SPEC, finished_run, write_spec

from ulzoo.cli import main
from ulzoo.spec import parse_spec

CODES = ["UL014", "UL014", "UL014", "UL014"]
"""What the rules say about the smallest spec: each of its metrics looks at few images."""


def told(capsys, *arguments):
    """Exit status, standard output, standard error."""
    status = main(list(map(str, arguments)))
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    return status, printed.out, printed.err


def codes(text):
    return [line.split(": warning ")[1][:5] for line in text.splitlines() if ": warning " in line]


@pytest.fixture
def spec(tmp_path):
    return write_spec(tmp_path)


def test_check_warns_and_passes(capsys, spec):
    status, out, err = told(capsys, "check", spec)
    assert status == 0
    assert out.startswith(f"{spec}: ok, spec ")
    assert codes(err) == CODES
    where = f"{spec}:24:37: warning UL014: evaluate.0.count: 16 images are few for ulzoo.bits_per_pixel.v1;"
    assert err.splitlines()[0] == f"{where} take 100 or more"


def test_check_strict_fails_on_warnings_alone(capsys, spec, tmp_path):
    assert told(capsys, "check", spec, "--strict")[0] == 2
    quiet = tmp_path / "quiet.yaml"
    quiet.write_text(f"{SPEC}silence: {{UL014: a test of the command line}}\n")
    status, out, err = told(capsys, "check", quiet, "--strict")
    assert (status, err) == (0, "")
    assert out.startswith(f"{quiet}: ok")


def test_what_is_counted_for_clips_is_called_so(capsys, tmp_path):
    path = tmp_path / "clips.yaml"
    moving = "{type: ulzoo.moving_digits.v1, size: 8, frames: 2, digit_size: 8}"
    path.write_text(SPEC.replace("{type: ulzoo.digits.v1, size: 8}", moving))
    for options in ([], ["--explain"]):
        status, out, _ = told(capsys, "check", path, *options)
        assert status == 0
        assert "FLOPs/clip" in out
        assert "FLOPs/image" not in out


def test_check_explains(capsys, spec):
    status, out, err = told(capsys, "check", spec, "--explain")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"{spec}: ok"
    cells = [line.split() for line in lines]
    assert ["role", "component", "input", "output", "parameters", "FLOPs/image"] in cells
    assert ["data", "ulzoo.digits.v1", "1×8×8"] in cells
    assert ["encoder", "ulzoo.resnet.v1", "1×8×8", "2×4×4"] in [row[:4] for row in cells]
    assert ["conditioners.0", "ulzoo.class_label.v1"] in cells
    assert codes(out) == CODES
    # Every role's parameters are in the sum.
    counts = {
        row[0]: row[4]
        for row in cells
        if len(row) > 5 and row[0] in ("encoder", "prior", "decoder", "base_model")
    }
    total = next(row[1] for row in cells if row[:1] == ["all"])
    assert sum(int(count.replace(",", "")) for count in counts.values()) == int(total.replace(",", ""))
    status, out, _ = told(capsys, "check", spec, "--explain", "--set", "silence={UL014: meant}")
    assert out.endswith("no warnings\n")


def test_a_run_warns_at_its_start_and_names_its_hash(capsys, spec):
    run = finished_run()
    assert codes(run.stderr) == CODES
    assert run.stderr.index("warning UL014") < run.stderr.index("stage 1: ")
    prefix = told(capsys, "check", spec)[1].split("spec ")[1].split()[0]
    assert f"spec {prefix}\n" in run.stdout
    assert told(capsys, "show", spec)[1].startswith(f"# spec {prefix}")
    assert json.loads((run.directory / "manifest.json").read_text())["spec_hash"].startswith(prefix)


def test_show_gives_the_spec_back(capsys, spec):
    status, out, _ = told(capsys, "show", spec, "--set", "seed=3")
    assert status == 0
    assert "seed: 3 " in out
    assert "# --set seed=3\n" in out
    assert parse_spec(out) == parse_spec(SPEC, overrides=["seed=3"])


def test_show_and_diff_take_runs(capsys, spec):
    run = finished_run().directory
    status, out, _ = told(capsys, "show", run)
    assert status == 0
    assert f"# {run}/resolved.yaml:" in out
    status, out, _ = told(capsys, "diff", spec, run)
    assert status == 0
    assert out.endswith("no difference in meaning\n")


def test_diff(capsys, spec, tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text(SPEC.replace("count: 12", "count: 13"))
    status, out, _ = told(capsys, "diff", spec, other)
    assert status == 0
    assert f"  sample.count: 12 → 13  ({spec}:21:4 → {other}:21:4)\n" in out
    assert out.endswith("the same trained weights: the hashes are equal\n")


def test_mistakes_in_both_are_told(capsys, spec, tmp_path):
    spec.write_text(SPEC.replace("name: small", "nme: small"))
    status, out, err = told(capsys, "diff", spec, tmp_path)
    assert (status, out) == (2, "")
    assert f"{spec}:2:1: nme: unknown field; did you mean 'name'?\n" in err
    assert f"{tmp_path}: neither a spec nor a run directory: it has no resolved.yaml\n" in err
    assert told(capsys, "show", tmp_path / "gone.yaml")[0] == 2


def test_schema_goes_to_a_file(capsys, tmp_path):
    path = tmp_path / "ulzoo.schema.json"
    status, out, _ = told(capsys, "schema", "-o", path)
    assert (status, out) == (0, f"{path}\n")
    assert json.loads(path.read_text())["title"] == "ulzoo spec"
    status, out, err = told(capsys, "schema", "--out", tmp_path / "no" / "schema.json")
    assert (status, out) == (2, "")
    assert err == f"{tmp_path / 'no' / 'schema.json'}: cannot be written: No such file or directory\n"
    # A schema is replaced by a newer one, nothing else is.
    assert told(capsys, "schema", "-o", path)[0] == 0
    other = tmp_path / "notes.json"
    other.write_text("{}")
    status, out, err = told(capsys, "schema", "-o", other)
    assert (status, out) == (2, "")
    assert err == f"{other}: exists, and is no JSON Schema\n    give another name, or remove it\n"
    assert other.read_text() == "{}"
