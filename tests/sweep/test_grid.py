"""Which runs a sweep has, and what is no grid."""

import pytest

from ulzoo.errors import RunError
from ulzoo.sweep.grid import grid, parse_axes


def test_every_combination_with_the_last_axis_fastest():
    axes = parse_axes(["decoder.weighting.loss_factor=1.3, 2", "seed=0,1"])
    points = grid(axes)
    assert [dict(point.overrides) for point in points] == [
        {"decoder.weighting.loss_factor": factor, "seed": seed} for factor in (1.3, 2) for seed in (0, 1)
    ]
    assert [point.name for point in points] == [
        f"loss_factor={factor},seed={seed}" for factor in ("1.3", "2") for seed in (0, 1)
    ]
    assert [point.group for point in points] == ["loss_factor 1.3"] * 2 + ["loss_factor 2"] * 2


def test_values_are_yaml_and_brackets_hold_commas_together():
    (axis,) = parse_axes(["encoder.channels=[8, 16],[8]"])
    assert axis.values == ([8, 16], [8])
    (axis,) = parse_axes(["prior={type: ulzoo.normal_prior.v1},{type: acme.prior.v1, width: 3}"])
    assert axis.values[1] == {"type": "acme.prior.v1", "width": 3}
    (axis,) = parse_axes(["a=1e-3,no,null"])
    assert axis.values == (1e-3, "no", None)


def test_paths_are_told_apart_by_as_many_words_as_it_takes():
    points = grid(parse_axes(["stage1.steps=1", "stage2.steps=2", "seed=3"]))
    assert points[0].name == "stage1.steps=1,stage2.steps=2,seed=3"
    assert points[0].group == "stage1.steps 1, stage2.steps 2"


def test_long_values_have_names_of_their_own():
    names = [point.name for point in grid(parse_axes([f"note={'a' * 200}b,{'a' * 200}c"]))]
    assert len(set(names)) == 2
    assert max(map(len, names)) < 100


def test_a_sweep_over_seeds_alone_is_one_group():
    assert {point.group for point in grid(parse_axes(["seed=0,1,2"]))} == {"all"}


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["seed"], "expected PATH=VALUE,VALUE"),
        (["a..b=1"], "expected PATH=VALUE,VALUE"),
        (["seed="], "no value"),
        (["seed=[1"], "--set seed"),
        (["seed=1,1"], "1 is given twice"),
        (["seed=1", "seed=2"], "seed is given twice; write its values in one --set"),
        (["seed=0,1", "a=" + ",".join(map(str, range(501)))], "more than 1000 runs"),
        (["name=a b,a_b"], "two runs would have one directory"),
    ],
)
def test_what_is_no_grid(texts, words):
    with pytest.raises(RunError) as caught:
        grid(parse_axes(texts))
    assert words in str(caught.value)
