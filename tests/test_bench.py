"""`ulzoo bench`: numbers that fit together, from processes of its own."""

import json

import pytest
from small_run import ENVIRONMENT, write_spec

import ulzoo
import ulzoo.bench
from ulzoo.bench.products import product_rate
from ulzoo.cli import main
from ulzoo.errors import RunError
from ulzoo.spec import spec_hash


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Printed lines and the file of one measurement of stage 1."""
    folder = tmp_path_factory.mktemp("bench")
    path = write_spec(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XLA_FLAGS", ENVIRONMENT.get("XLA_FLAGS", ""))
        assert main(["bench", str(path), "--stage", "1", "--steps", "4"]) == 0
    (file,) = folder.glob("bench-small-*.json")
    return path, json.loads(file.read_text())


def test_the_numbers_fit_together(measured):
    path, result = measured
    assert result["spec_hash"] == spec_hash(ulzoo.load_spec(path))
    (stage,) = result["stages"].values()
    low, high = stage["step_seconds_10_90"]
    assert 0 < low <= stage["step_seconds"] <= high
    share = stage["flops_per_step"] / stage["step_seconds"] / stage["product_flops_per_second"]
    assert stage["share_of_product_rate"] == pytest.approx(share)
    assert stage["flops_per_step"] > 0
    assert stage["images_per_second"] > 0
    assert 0 <= stage["data_wait_share"] < 1
    assert stage["peak_bytes"] > 2**20
    assert stage["import_seconds"] + stage["data_seconds"] < stage["cached_first_step_seconds"]


def test_the_second_start_compiles_nothing(measured):
    stage = measured[1]["stages"]["stage1"]
    # Reading from the cache is counted as compiling; measured here it takes a tenth of it.
    assert stage["cached_compile_seconds"] < 0.7 * stage["compile_seconds"]


def test_the_rate_is_that_of_numpy_within_a_factor():
    """Both multiply with all that the processor has; ten leaves room for one thread against many."""
    import time

    import numpy as np

    matrix = np.ones((1024, 1024), np.float32)
    times = []
    for _ in range(4):
        start = time.perf_counter()
        matrix @ matrix
        times.append(time.perf_counter() - start)
    rate = 2 * 1024**3 / min(times)
    assert rate / 10 < product_rate() < 10 * rate


def test_mistakes_are_told_before_anything_is_measured(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(ulzoo.bench, "measure", None)
    path = write_spec(tmp_path)
    taken = tmp_path / "taken.json"
    taken.write_text("mine")
    for out in (taken, tmp_path / "none" / "out.json"):
        assert main(["bench", str(path), "--out", str(out)]) == 2
    assert taken.read_text() == "mine"
    told = capsys.readouterr().err
    assert "it is not overwritten" in told
    assert "no such folder" in told


def test_a_process_that_fails_is_told_with_its_last_words(tmp_path, monkeypatch):
    spec = ulzoo.load_spec(write_spec(tmp_path))
    monkeypatch.setattr(ulzoo.bench.sys, "executable", "/bin/false")
    with pytest.raises(RunError, match="measures stage 1 failed"):
        ulzoo.bench.measure(spec, (1,), 1, say=lambda line: None)
