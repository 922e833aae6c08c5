"""A small plan against numbers worked out by hand and by the programs themselves."""

import json
import math
import re

import jax
import numpy as np
import pytest
from small_run import SPEC

from ulzoo.assemble import assemble
from ulzoo.cli import main
from ulzoo.errors import SpecError
from ulzoo.experiment import Experiment
from ulzoo.inspection import inspect
from ulzoo.parallel.mesh import make_mesh
from ulzoo.planning.accelerators import Accelerator
from ulzoo.planning.plan import plan
from ulzoo.spec import parse_spec

# Without its second stage: half the traces.
FIRST = re.sub(r"(base_model|stage2|evaluate):\n(  .*\n)+", "", SPEC)
SMALL = Accelerator("small", 10.0, 5.0, 1.0, "made up")


@pytest.fixture(scope="module")
def spec(builtin_registry):
    return parse_spec(SPEC, registry=builtin_registry)


@pytest.fixture(scope="module")
def planned(spec):
    return plan(spec, 4, SMALL, utilisation=0.5, price=3.0)


@pytest.fixture(scope="module")
def alone(spec):
    return plan(spec)


@pytest.fixture(scope="module")
def first(spec):
    """The spec without its second stage: half the traces."""
    return spec.model_copy(update={"base_model": None, "stage2": None, "evaluate": ()})


def nbytes(tree):
    """Of real arrays, as NumPy counts them."""
    leaves = (
        jax.random.key_data(x) if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) else x for x in tree
    )
    return sum(np.asarray(leaf).nbytes for leaf in leaves)


def test_the_state_is_what_a_program_really_holds(spec, planned):
    state = Experiment(spec, assemble(spec), make_mesh()).program(1).init(jax.random.key(0))
    memory = planned.stages[0].memory
    assert memory.parameters == memory.ema == memory.gradients == nbytes(jax.tree.leaves(state.params))
    assert memory.optimizer == nbytes(jax.tree.leaves(state.opt_state))
    assert planned.stages[0].checkpoint == nbytes(jax.tree.leaves(state))
    # 8 grey pictures of 8×8 on four devices, each with an int32 label.
    assert memory.batch == 2 * (64 + 4)
    assert planned.stages[0].share == 2


def test_the_frozen_encoder_is_a_part_of_stage_2(spec, planned):
    encoder = assemble(spec).abstract("encoder")
    count = 4 * sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(encoder) if hasattr(leaf, "shape"))
    assert planned.stages[0].memory.frozen == 0
    assert planned.stages[1].memory.frozen == count


def test_flops_are_three_times_forward_and_once_for_the_frozen_encoder(spec, planned):
    flops = {role.role: role.flops for role in inspect(assemble(spec))}
    first, second = planned.stages
    assert first.flops_image == flops["encoder"] + flops["prior"] + flops["decoder"]
    assert first.flops_step == 3 * 8 * first.flops_image
    assert second.flops_image == flops["base_model"]
    assert second.flops_step == 8 * (3 * flops["base_model"] + flops["encoder"])
    for stage in planned.stages:
        # As run: the first map needs no gradient of its input, and conditions have small maps of their own.
        assert stage.flops_traced == pytest.approx(stage.flops_step, rel=0.25)


def test_hours_and_money(planned):
    for stage in planned.stages:
        seconds = stage.flops_step / (4 * 5e12 * 0.5)  # float32: the lower rate
        assert stage.time.step == pytest.approx(seconds)
        assert stage.time.stage == pytest.approx(40 * seconds)
        assert stage.time.device_hours == pytest.approx(4 * 40 * seconds / 3600)
        assert stage.time.cost == pytest.approx(3 * 4 * 40 * seconds / 3600)


def test_devices_divide_the_batch_and_not_the_state(alone, planned):
    for one, four in zip(alone.stages, planned.stages, strict=True):
        assert one.memory.state == four.memory.state
        assert one.memory.batch == 4 * four.memory.batch
        assert one.memory.activations > four.memory.activations
        # What does not depend on the batch is computed on each device.
        assert one.flops_traced == pytest.approx(four.flops_traced, rel=0.05)
    assert alone.fits is None
    assert planned.fits is True


def test_what_does_not_fit_is_told_with_a_size_that_would(first, alone):
    memory = alone.stages[0].memory
    between = (memory.state + memory.gradients + memory.peak) / 2
    found = plan(first, 1, Accelerator("tiny", 1, 1, between / 1e9, "made up")).stages[0]
    assert not found.verdict.fits
    share = found.verdict.largest_share
    assert 1 <= share < 8
    divisors = [n for n in (1, 2, 4, 8) if 8 // n <= share]
    assert f"fit on a device: {divisors[0]} devices" in found.verdict.changes[0]
    assert f"--set stage1.accumulate={divisors[0]} (the same batch in turns)" in found.verdict.changes[0]
    assert f"--set stage1.batch_size={share}" in found.verdict.changes[0]
    # And it does fit.
    changed = first.model_copy(update={"stage1": first.stage1.model_copy(update={"batch_size": share})})
    assert plan(changed).stages[0].memory.peak <= between
    assert any("encoder.remat: true" in change for change in found.verdict.changes)


def test_a_state_that_does_not_fit_is_told_so(first):
    found = plan(first, 2, Accelerator("none", 1, 1, 1e-6, "made up"))
    assert found.fits is False
    assert "optimiser and gradients alone are" in found.stages[0].verdict.changes[0]


def test_devices_that_do_not_divide_the_batch_are_a_mistake_of_the_spec(spec):
    with pytest.raises(SpecError, match=r"stage1\.batch_size: 8 is not a multiple"):
        plan(spec, 3)
    fixed = parse_spec(SPEC + "parallel: {mesh: {data: 4}}\n")
    with pytest.raises(SpecError, match="does not multiply to 8 devices"):
        plan(fixed, 8)


@pytest.mark.slow
def test_compiled_memory_has_the_same_state(first, alone):
    estimate, compiled = alone.stages[0].memory, plan(first, compile=True).stages[0].memory
    assert (estimate.how, compiled.how) == ("estimated from shapes", "compiled for cpu")
    assert compiled.state == estimate.state
    assert compiled.batch == estimate.batch
    # Small arrays, unoptimised or not: the estimate is of the right size.
    assert compiled.peak == pytest.approx(estimate.peak, rel=0.5)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(FIRST)
    return str(path)


def test_the_command(file, capsys):
    command = ["plan", file, "--devices", "2", "--accelerator", "tpu-v5e", "--price", "1.2"]
    assert main([*command, "--examples", "1000"]) == 0
    told = capsys.readouterr().out
    for text in ("on 2 × tpu-v5e, mesh data 2", "a step (paper: training = 3 × forward)", ": fits"):
        assert text in told
    # 2×4×4 values of four bytes.
    assert "125 KiB for 1,000 examples" in told
    assert main([*command, "--json"]) == 0
    (data,) = json.loads(capsys.readouterr().out)
    assert data["fits"] is True
    assert data["stages"][0]["memory"]["how"] == "estimated from shapes"
    assert data["latent_bytes_per_image"] == 128


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--accelerator", "tpu-v5"], "did you mean 'tpu-v"),
        (["--price", "1"], "say which with --accelerator"),
        (["--utilisation", "0"], "above 0 and at most 1"),
        (["--topology", "v5e:16x"], "such as v5e:16x16"),
        (["--topology", "v5e:4x4", "--devices", "8"], "has 16 chips, got 8"),
        (["--tpu-env", "x"], "--tpu-env: is for --topology"),
    ],
)
def test_mistakes_on_the_command_line(file, arguments, text, capsys):
    assert main(["plan", file, *arguments]) == 2
    assert text in capsys.readouterr().err


def test_one_bad_spec_does_not_keep_others_from_being_planned(file, tmp_path, capsys):
    bad = tmp_path / "bad.yaml"
    bad.write_text(SPEC.replace("channels", "chanels", 1))
    assert main(["plan", str(bad), file]) == 2
    told = capsys.readouterr()
    assert "did you mean 'channels'" in told.err
    assert "stage 1: 40 steps" in told.out
