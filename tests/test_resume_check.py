"""`ulzoo verify-resume`: exact where it is, and not where it is not."""

import re
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from small_run import ENVIRONMENT, SPEC, write_spec

import ulzoo.resume_check
from ulzoo.cli import main
from ulzoo.errors import RunError
from ulzoo.resume_check import compare_batches, compare_states

BFLOAT16 = jnp.dtype(jnp.bfloat16).type
# Both roles of diffusion, with dropout, whose noise is drawn anew in each step.
NETWORK = "{type: ulzoo.vit.v1, width: 8, depth: 1, heads: 1, embedding_width: 8, dropout: 0.1}"
DIFFUSION = (
    SPEC.replace("{type: ulzoo.normal_prior.v1}", f"{{type: ulzoo.diffusion_prior.v1, network: {NETWORK}}}")
    .replace(
        "ulzoo.mse_decoder.v1",
        # The loss factor is moved after each step: what moves it has to be resumed too.
        "ulzoo.diffusion_decoder.v1\n  weighting:"
        " {type: ulzoo.steered_sigmoid.v1, rate_target: {bits_per_pixel: 0.5}, bias: 2.0}",
    )
    .replace("rate_warmup_steps: 10", "rate_warmup_steps: 2")
)


@pytest.fixture
def spec(tmp_path):
    return str(write_spec(tmp_path))


# Twice in one process, for its compiled programs; the second time what continues reads from the beginning.
PROGRAM = """
import sys
import ulzoo.resume_check, ulzoo.training
from ulzoo.cli import main

command = ["verify-resume", sys.argv[1], "--stage", "1", "--steps"]
assert main([*command, "5"]) == 0
batches = ulzoo.training.batches

def forgetful(dataset, *, start_step, **options):
    stream = batches(dataset, start_step=0, **options)
    assert stream.threads == 2, "what is verified reads ahead, as a run does"
    return stream

def go_on(directory, stage, steps):
    ulzoo.training.batches = forgetful
    ulzoo.resume_check._continue([directory, stage, steps])

ulzoo.resume_check._in_a_new_process = go_on
assert main([*command, "4"]) == 1
"""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Of a restart that is exact and of one that is not."""
    path = write_spec(tmp_path_factory.mktemp("verified"), DIFFUSION)
    command = [sys.executable, "-c", PROGRAM, str(path)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=1200)
    assert done.returncode == 0, done.stderr[-3000:]
    exact, end, other = done.stdout.partition("resuming is exact\n")
    return exact + end, other


def test_a_new_process_goes_on_exactly_with_diffusion_in_both_roles(certificates):
    lines = certificates[0].splitlines()
    assert re.fullmatch(
        r"stage 1: 5 steps against 2 and 3 in a new process; spec [0-9a-f]{12}, 1 × cpu \(cpu\)", lines[0]
    )
    part = re.compile(r" +(\w+(?: key)?) +\d+ of (\d+) \w+ equal bit for bit")
    counts = dict(part.fullmatch(line).groups() for line in lines[1:-1])
    assert list(counts) == ["weights", "EMA", "optimiser", "knobs", "random key", "step", "data"]
    assert int(counts["weights"]) == int(counts["EMA"]) > 20
    assert (counts["random key"], counts["step"], counts["data"]) == ("1", "1", "5")
    assert lines[-1] == "stage 1: resuming is exact"


def test_a_restart_that_reads_other_data_is_found(certificates):
    output = certificates[1]
    assert re.search(
        r"weights +\d+ of \d+ arrays equal bit for bit\n +params\.\S+: up to \d\S* ulp\n", output
    )
    assert re.search(
        r"data +2 of 4 batches equal bit for bit\n +step 3: other records\n +step 4: other", output
    )
    assert output.endswith("stage 1: resuming is NOT exact\n")


def test_a_process_that_fails_is_told_with_its_words(tmp_path):
    with pytest.raises(RunError, match=r"ended with 1:\n(.|\n)*no such run directory"):
        ulzoo.resume_check._in_a_new_process(tmp_path / "none", 1, 4)


@pytest.mark.parametrize("steps", [1, 41])
def test_steps_that_cannot_be_halved_or_are_not_there(spec, capsys, steps):
    assert main(["verify-resume", spec, "--stage", "1", "--steps", str(steps)]) == 2
    assert capsys.readouterr().err == f"--steps must be from 2 to 40, the steps of stage 1; got {steps}\n"


@pytest.mark.parametrize(
    ("a", "b", "ulp"),
    [
        (np.float32(1.0), np.nextafter(np.float32(1.0), np.float32(2.0)), "1"),
        (np.float32(-1.0), np.nextafter(np.float32(-1.0), np.float32(0.0)), "1"),
        (np.float32(0.0), np.float32(-0.0), "1"),
        (np.nextafter(np.float32(0), np.float32(-1)), np.nextafter(np.float32(0), np.float32(1)), "3"),
        (np.float64(1.0), np.nextafter(1.0, 2.0), "1"),
        (BFLOAT16(1.0), BFLOAT16(1.0078125), "1"),
        (np.float32("nan"), np.float32(1.0), "nan"),
        (np.int32(7), np.int32(4), "3"),
    ],
)
def test_distances_in_units_in_the_last_place(a, b, ulp):
    a, b = ({"params.first": np.zeros(2), "params.w": np.asarray([x, x])} for x in (a, b))
    weights = compare_states(a, b)[0]
    assert (weights.name, weights.count, weights.differences) == (
        "weights",
        2,
        (f"params.w: up to {ulp} ulp",),
    )
    assert compare_states(a, a)[0].differences == ()


def test_fields_that_a_state_may_come_to_have_are_compared_too():
    one = {"params.w": np.zeros(2), "controller.integral": np.float32([1.0])}
    other = one | {"controller.integral": np.float32([2.0])}
    differences = {part.name: part.differences for part in compare_states(one, other)}
    assert differences["weights"] == ()
    assert differences["controller"] == ("controller.integral: up to 8.38861e+06 ulp",)


def test_batches_that_differ_are_named():
    one = {"1": [[1, 2], 5], "2": [[3, 4], 6], "10": [[5, 6], 7]}
    other = {"1": [[1, 2], 5], "2": [[3, 4], 8]}
    assert compare_batches(one, other).differences == (
        "step 2: the same records with other content",
        "step 10: other records",
    )
