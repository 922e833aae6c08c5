"""Numbers that pages print are worked out again."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import yaml
from blocks import ROOT, blocks

FIVE_DIGITS = 6e-5  # five digits are printed


def read(page: str) -> str:
    return (ROOT / "docs" / page).read_text()


def rows(page: str, head: str) -> list[list[str]]:
    """The cells of the table whose head begins like this, without the head."""
    table = read(page).split(f"| {head}")[1].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip().replace("−", "-") for cell in line.strip("|").split("|")] for line in table]


# Name → from λ to the coordinate and back, and the factors (of x, of ε) of the paper's noisy input at it.
COORDINATES = {
    "DDPM": (
        lambda λ: 1 / (1 + math.exp(-λ)),
        lambda a: math.log(a / (1 - a)),
        lambda a: (math.sqrt(a), math.sqrt(1 - a)),
    ),
    "EDM": (lambda λ: math.exp(-λ / 2), lambda s: -2 * math.log(s), lambda s: (1.0, s)),
    "VDM": (lambda λ: -λ, lambda g: -g, None),
    "flow matching": (
        lambda λ: 1 / (1 + math.exp(λ / 2)),
        lambda t: 2 * math.log((1 - t) / t),
        lambda t: (1 - t, t),
    ),
    "v-diffusion": (
        lambda λ: math.atan(math.exp(-λ / 2)),
        lambda p: -2 * math.log(math.tan(p)),
        lambda p: (math.cos(p), math.sin(p)),
    ),
    "signal processing": (lambda λ: 10 * λ / math.log(10), lambda d: d * math.log(10) / 10, None),
}
SCALES = {
    "DDPM": lambda a, s: 1.0,
    "v-diffusion": lambda a, s: 1.0,
    "EDM": lambda a, s: a,
    "flow matching": lambda a, s: a + s,
}


def test_every_coordinate_has_a_row():
    names = [row[0] for row in rows("explanation/noise-coordinates.md", "paper |")]
    assert [name.split(",")[0] for name in names] == list(COORDINATES)


@pytest.mark.parametrize("name", COORDINATES)
@pytest.mark.parametrize("log_snr", [-10.0, -1.3, 0.0, 5.0])
def test_coordinates_are_those_of_the_process(name, log_snr):
    """By the formulas of the page in plain Python, against `ulzoo.diffusion.process` in float32."""
    from ulzoo.diffusion.process import alpha_sigma

    to, back, factors = COORDINATES[name]
    alpha, sigma = map(float, alpha_sigma(np.float32(log_snr)))
    assert back(to(log_snr)) == pytest.approx(log_snr, abs=1e-9)  # rounding of float64
    assert back(to(math.log(alpha**2 / sigma**2))) == pytest.approx(log_snr, abs=1e-5)  # of float32
    if factors is not None:
        scale = SCALES[name](alpha, sigma)
        assert factors(to(log_snr)) == pytest.approx((alpha / scale, sigma / scale), rel=1e-5)  # of float32


def test_the_column_at_five_is_right():
    for row in rows("explanation/noise-coordinates.md", "paper |"):
        value = COORDINATES[row[0].split(",")[0]][0](5.0)
        assert float(row[-1]) == pytest.approx(value, rel=FIVE_DIGITS)


def test_outputs_lead_to_x():
    """The page's table of predictions: each way back to z, and ulzoo's own."""
    from ulzoo.diffusion.process import add_noise, alpha_sigma, target, to_x

    z, eps = np.float32([0.3, -1.2]), np.float32([0.7, 0.1])
    log_snr = np.float32(1.5)
    alpha, sigma = alpha_sigma(log_snr)
    z_t = add_noise(z, eps, log_snr)
    by_page = {
        "eps": (z_t - sigma * eps) / alpha,
        "v": alpha * z_t - sigma * (alpha * eps - sigma * z),
    }
    for kind, value in by_page.items():
        np.testing.assert_allclose(value, z, rtol=1e-5)  # rounding of float32
        np.testing.assert_allclose(to_x(kind, target(kind, z, eps, log_snr), z_t, log_snr), z, rtol=1e-5)
    np.testing.assert_allclose((z_t - sigma * (eps - z)) / (alpha + sigma), z, rtol=1e-5)


def test_schedules_are_the_curves_of_the_page():
    """With ends that leave the curve whole, the components are the page's formulas."""
    from ulzoo.components.schedules.cosine import CosineConfig
    from ulzoo.components.schedules.linear import LinearConfig
    from ulzoo.components.schedules.shifted_cosine import ShiftedCosineConfig
    from ulzoo.interfaces import ScheduleIO

    ends = {"log_snr_min": -20.0, "log_snr_max": 20.0}
    t = np.float32([0.2, 0.5, 0.9])
    cosine = -2 * np.log(np.tan(np.pi * t / 2))
    shift = 2 * math.log(64 / 256)
    built = [
        (LinearConfig(**ends), 20 - 40 * t),
        (CosineConfig(**ends), cosine),
        (ShiftedCosineConfig(noise_d=64, image_d=256, **ends), cosine + shift),
    ]
    for config, expected in built:
        # Cut at ±20 in place of ±∞ the angle is stretched by some 1e-4.
        np.testing.assert_allclose(config.build(ScheduleIO(), key=None)(t), expected, atol=3e-3)


def test_the_bound_is_the_mutual_information():
    for s, nats in rows("explanation/bound.md", "s |"):
        assert float(nats) == pytest.approx(0.5 * math.log1p(float(s) ** 2 * math.exp(5)), abs=1e-6)


def test_break_even_levels():
    head = read("how-to/knobs.md").split("| c | b")[1].splitlines()[0]
    biases = [float(text) for text in re.findall(r"= ?(\d+)|b = (\d+)", f"b{head}") for text in text if text]
    assert biases == [0, 3, 4]
    for factor, *levels in rows("how-to/knobs.md", "c | b = 0"):
        expected = [bias + math.log(float(factor) - 1) for bias in biases]
        assert [float(level) for level in levels] == pytest.approx(expected, abs=6e-3)  # two digits


def test_biases_follow_the_edge():
    page = read("how-to/knobs.md")
    edges = [int(cell) for cell in page.split("| edge |")[1].splitlines()[0].strip(" |").split("|")]
    printed = rows("how-to/knobs.md", "edge |")[0][1:]
    assert [float(cell) for cell in printed] == pytest.approx(
        [2 * math.log(128 / edge) for edge in edges], abs=6e-3
    )


def test_the_first_run_adds_up():
    page = read("tutorials/first-run.md")
    told = blocks("docs/tutorials/first-run.md", "text")[0]
    per_pixel, nats, per_value, size = (
        float(re.search(rf"/{name} = ([\d.]+)", told)[1])
        for name in ("bits_per_pixel", "nats", "bits_per_latent_dim", "bytes_per_image")
    )
    bits = per_pixel * 16 * 16
    assert "= 66.0 bits" in page
    assert bits == pytest.approx(66.0, abs=0.05)
    # Four digits are printed of each.
    assert (nats / math.log(2), per_value * 2 * 4 * 4, size * 8) == pytest.approx((bits,) * 3, rel=5e-4)
    for step, loss, rate, distortion, weight in rows("tutorials/first-run.md", "step |"):
        # Three digits; the weight is an average over the fifty steps before.
        total = float(rate) * float(weight) + float(distortion)
        assert float(loss) == pytest.approx(total, abs=0.02), step
    assert "at 25.8 dB the root mean square error of a pixel is about 5.1 %" in page
    assert pytest.approx(0.051, abs=5e-4) == 10 ** (-25.8 / 20)


def test_the_first_run_is_that_of_the_spec():
    spec = (ROOT / "specs/digits.yaml").read_text()
    page = read("tutorials/first-run.md")
    for number in ("0.231", "1.38", "0.995"):
        assert number in spec
        assert number in page
    weighting = yaml.safe_load(spec)["decoder"]["weighting"]
    assert f"`loss_factor: {weighting['loss_factor']}` and `bias: {weighting['bias']}`" in page
