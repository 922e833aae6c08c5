"""Means, intervals and figures of runs that were written by hand."""

import csv
import io
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))

from made_run import make_run, measured

from ulzoo.sweep.figures import against_bits, places, rate_name, standalone
from ulzoo.sweep.grid import grid, parse_axes
from ulzoo.sweep.results import groups, mean_of, read_rows, results_csv, results_data, t_interval

BITS, PSNR = "stage1/heldout/bits_per_pixel", "stage1/heldout/psnr"
POINTS = grid(parse_axes(["decoder.weighting.loss_factor=2,3", "seed=0,1,2"]))


@pytest.fixture
def rows(tmp_path):
    """Two groups of three seeds: bits 0.1, 0.2, 0.3 and ten times as many; one run has not begun."""
    for i, point in enumerate(POINTS[:5]):
        factor = 1 if i < 3 else 10
        bits = factor * (0.1 + 0.1 * (i % 3))
        lines = [
            measured(BITS, bits, "bits/pixel", interval=(bits - 0.01, bits + 0.01), rate="upper bound"),
            measured(PSNR, 20.0 + i, "dB"),
            measured("stage1/heldout/examples/psnr", 1.0, "dB"),
        ]
        make_run(tmp_path / "runs" / point.name, lines=lines)
    return read_rows(tmp_path, POINTS)


def test_means_are_over_seeds_with_students_interval(rows):
    first, second = groups(rows).values()
    mean = mean_of(first, BITS)
    assert mean.value == pytest.approx(0.2)
    assert mean.over == "seeds"
    expected = stats.ttest_1samp([0.1, 0.2, 0.3], 0.0).confidence_interval(0.95)
    # Both in float64.
    assert mean.interval == pytest.approx((expected.low, expected.high), rel=1e-9)
    assert len(second) == 2
    assert mean_of(second, "stage2/none") is None


def test_a_single_run_has_its_own_interval(rows):
    mean = mean_of(rows[:1], BITS)
    assert (mean.interval, mean.over) == (rows[0].measured[BITS].interval, "images")
    assert mean_of(rows[:1], PSNR).over == "nothing"
    with pytest.raises(ZeroDivisionError):
        t_interval([1.0])


def test_the_table_has_one_line_a_run_and_the_data_both(rows):
    lines = list(csv.DictReader(io.StringIO(results_csv(rows))))
    assert [line["seed"] for line in lines] == ["0", "1", "2", "0", "1"]
    assert float(lines[3][PSNR]) == 23.0
    assert lines[3][f"{PSNR}/low"] == ""
    assert float(lines[0][f"{BITS}/low"]) == pytest.approx(0.09)
    data = results_data(rows)
    assert set(data["groups"]) == {"loss_factor 2", "loss_factor 3"}
    assert not any("examples" in name for run in data["runs"] for name in run["measured"])


def test_figures_are_against_held_out_bits(rows):
    assert rate_name(rows) == BITS
    first, second = places(rows, BITS, PSNR)
    assert (first.rate.value, first.number.value) == (pytest.approx(0.2), pytest.approx(21.0))
    assert len(second.runs) == 2
    (figure,) = against_bits(rows)
    assert figure.rows[1][0] == "loss_factor 2"
    text = standalone(figure.svg)
    assert "var(--" not in text
    assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
