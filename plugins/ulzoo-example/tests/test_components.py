"""What these three promise beside that."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from ulzoo_example.haar.config import HaarConfig
from ulzoo_example.haar.module import halve
from ulzoo_example.mixer.config import MixerConfig
from ulzoo_example.shapes.config import ShapesConfig
from ulzoo_example.shapes.source import coverage

import ulzoo
from ulzoo.errors import InterfaceError
from ulzoo.explanation import explain
from ulzoo.interfaces import NetworkIO

SPEC = Path(__file__).parents[1] / "specs" / "shapes.yaml"


def test_the_transform_is_haars():
    """By hand: mean, horizontal, vertical and diagonal difference of one square of four pixels."""
    a, b, c, d = 1.0, 2.0, 5.0, 11.0
    got = np.asarray(halve(jnp.asarray([[[a, b], [c, d]]])))
    want = [(a + b + c + d) / 2, (a - b + c - d) / 2, (a + b - c - d) / 2, (a - b - c + d) / 2]
    assert got.shape == (4, 1, 1)
    # float32.
    np.testing.assert_allclose(sorted(got.ravel()), sorted(want), rtol=1e-6)


def test_the_transform_loses_nothing():
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 4, 8, 8)), jnp.float32)
    # Rounding of float32 sums of 512 squares.
    assert float(jnp.square(halve(halve(x))).sum()) == pytest.approx(float(jnp.square(x).sum()), rel=1e-5)


def test_what_does_not_divide_is_told():
    with pytest.raises(InterfaceError, match=r"levels: 3 levels need extents that 8 divides, not \(12, 12\)"):
        HaarConfig(latent_channels=1, levels=3).latent_shape((1, 12, 12))
    with pytest.raises(InterfaceError, match=r"patch: 3 does not divide the input, \(8, 8\)"):
        MixerConfig(width=8, depth=1, patch=3).build(NetworkIO((1, 8, 8)), key=None)


@pytest.mark.parametrize(
    ("label", "area"), [(0, np.pi * 5**2), (1, 10.0**2), (2, 2 * 10 * 10 / 3 - (10 / 3) ** 2)]
)
def test_shapes_cover_their_area(label, area):
    """Disc πr², square (2r)², cross of two bars 2r × 2r/3; soft edges change a few per cent."""
    assert coverage(label, 32, 16.3, 15.8, 5.0).sum() == pytest.approx(area, rel=0.05)


def test_splits_differ():
    dataset = ShapesConfig(size=8, count=8)
    train, heldout = dataset.open("train"), dataset.open("heldout")
    assert (len(train), len(heldout)) == (8, 2)
    assert not np.array_equal(train[0]["image"], heldout[0]["image"])


def test_the_spec_fits_and_finds_all_three_by_name():
    spec = ulzoo.load_spec(SPEC)
    explanation = explain(spec)
    assert explanation.warnings == ()
    reports = {report.role: report for report in explanation.reports}
    assert reports["encoder"].output_shape == (4, 4, 4)
    # 16 coefficients of a 4×4 patch to 4 channels, and 4 biases.
    assert reports["encoder"].parameters == 16 * 4 + 4
    used = {use.component.type for use in ulzoo.spec.uses(spec)}
    assert {"example.haar.v1", "example.mixer.v1", "example.shapes.v1"} <= used
