"""The process that compiles elsewhere: what is asked of it, and what becomes of its answers."""

import json
import os
import stat

import pytest
from small_run import SPEC

from ulzoo.cli import main
from ulzoo.errors import RunError
from ulzoo.planning.topology import compile_ahead, make, ready

ENVIRONMENT = "ULZOO_TPU_ENV"

ANSWER = {
    "devices": 16,
    "device_kind": "TPU v5 lite",
    "mesh": {"data": 16},
    "versions": {"jax": "1", "jaxlib": "1", "libtpu": "0"},
    "stages": [
        {
            "stage": 1,
            "lower_seconds": 1.0,
            "compile_seconds": 61.0,
            "memory": {
                "parameters": 2**30,
                "ema": 2**30,
                "optimizer": 2**31,
                "frozen": 0,
                "batch": 0,
                "gradients": 0,
                "activations": 2**30,
                "how": "compiled for tpu",
                "peak": 5 * 2**30,
            },
            "collectives": [{"kind": "all-reduce", "count": 12, "bytes": 2**20, "written": 7}],
        },
        {"stage": 2, "lower_seconds": 1.0, "compile_seconds": 9.0, "exhausted": "Used 20G of 15.75G hbm"},
    ],
}


def environment(tmp_path, script):
    """A folder whose interpreter is a script."""
    python = tmp_path / "env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\ncat > {tmp_path}/request.json\n{script}\n")
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    return python.parents[1]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SPEC.replace("batch_size: 8", "batch_size: 16"))
    return str(path)


def test_what_is_asked_and_told(tmp_path, file, capsys):
    (tmp_path / "answer.json").write_text(json.dumps(ANSWER))
    folder = environment(tmp_path, f"echo chatter\ncat {tmp_path}/answer.json")
    command = ["plan", file, "--topology", "v5e:4x4", "--tpu-env", str(folder)]
    assert main([*command, "--set", "seed=3"]) == 0
    assert json.loads((tmp_path / "request.json").read_text()) == {
        "spec": file,
        "set": ["seed=3"],
        "topology": "v5e:4x4",
        "stages": [1, 2],
    }
    told = capsys.readouterr().out
    for text in (
        "on 16 × tpu-v5e, mesh data 16",
        "compiled for v5e:4x4: 16 × TPU v5 lite, mesh data 16 (jax 1, jaxlib 1, libtpu 0)",
        "per chip, compiled for tpu: peak 5 GiB of 14.9 GiB: fits",
        "gradients and activations 1 GiB",
        "12 all-reduce 1 MiB (7 in the text)",
        "does not fit, says the compiler: Used 20G of 15.75G hbm",
    ):
        assert text in told


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ("echo gone wrong >&2; exit 3", "stopped with status 3\n    gone wrong"),
        ("echo no json", "stopped with status 0"),
        ("""echo '{"error": "no topology"}'""", "--topology v5e:4x4: no topology"),
    ],
)
def test_what_goes_wrong_there_is_told(tmp_path, file, script, text):
    with pytest.raises(RunError) as error:
        compile_ahead(environment(tmp_path, script), file, [], "v5e:4x4", [1], print)
    assert text in str(error.value)


def test_without_an_environment_it_says_how_to_make_one(file, tmp_path):
    with pytest.raises(RunError, match="give --tpu-env DIR: where DIR is not there, libtpu=="):
        compile_ahead(None, file, [], "v5e:4x4", [1], print)
    (tmp_path / "taken").touch()
    with pytest.raises(RunError, match="neither empty nor an environment with libtpu"):
        make(tmp_path, print)
    assert not ready(tmp_path)


@pytest.mark.slow
def test_the_tpu_compiler_itself(file, capsys):
    """Sixteen v5e chips: data parallel training sums its gradients by all-reduce."""
    if ENVIRONMENT not in os.environ:
        pytest.skip(f"{ENVIRONMENT} names no folder with libtpu; `ulzoo plan --tpu-env` makes one")
    command = ["plan", file, "--topology", "v5e:4x4", "--tpu-env", os.environ[ENVIRONMENT], "--json"]
    assert main(command) == 0
    (plan,) = json.loads(capsys.readouterr().out)
    assert plan["topology"]["devices"] == 16
    for estimated, compiled in zip(plan["stages"], plan["topology"]["stages"], strict=True):
        kinds = {kind["kind"]: kind for kind in compiled["collectives"]}
        # The gradients are summed, and the metrics beside them; parts of the decoder have none here.
        gradients = estimated["memory"]["parameters"]
        assert gradients / 2 < kinds["all-reduce"]["bytes"] < gradients + 1024
        for part in ("parameters", "ema", "optimizer", "frozen", "batch"):
            assert compiled["memory"][part] == estimated["memory"][part]
        assert compiled["compile_seconds"] > 0


@pytest.mark.slow
def test_a_topology_that_is_none_is_told_in_the_compilers_words(file, capsys):
    if ENVIRONMENT not in os.environ:
        pytest.skip(f"{ENVIRONMENT} names no folder with libtpu; `ulzoo plan --tpu-env` makes one")
    folder = os.environ[ENVIRONMENT]
    with pytest.raises(RunError, match="no topology 'v5e:7x5'"):
        compile_ahead(folder, file, [], "v5e:7x5", [1], print)
