import math

import gaussian
import numpy as np
import pytest

from ulzoo.diffusion.accounting import account, bootstrap_interval, label, split_by_noise_level


def tables(n=6, k=4, latent=(3, 2, 2), seed=0):
    """Rates whose diffusion part is the map's diffusion, so that all splits are of the same total."""
    rng = np.random.default_rng(seed)
    diffusion = rng.gamma(2.0, 30.0, (n, k))
    terminal = rng.gamma(2.0, 1.0, (n, 1))
    log_snr = rng.uniform(-10.0, 5.0, (n, k))
    nats = diffusion + terminal
    shares = rng.dirichlet(np.ones(math.prod(latent[1:])), n).reshape(n, *latent[1:])
    maps = shares * nats.mean(axis=1).reshape(n, *(1 for _ in latent[1:]))
    return {"nats": nats, "diffusion": diffusion, "log_snr": log_snr, "maps": maps}


def test_units_are_those_of_the_definitions():
    table = {key: np.full((5, 2), 1000.0) for key in ("nats", "diffusion")}
    table["log_snr"] = np.zeros((5, 2))
    table["maps"] = np.full((5, 4, 4), 1000.0 / 16)
    found = account(**table, pixels=16 * 16, latent_shape=(8, 4, 4), is_bound=True)
    assert (found.images, found.times, found.label) == (5, 2, "upper bound")
    assert found.nats.value == 1000.0
    bits = 1000.0 / math.log(2.0)
    # Double precision arithmetic in another order.
    assert found.bits_per_pixel.value == pytest.approx(bits / 256, rel=1e-12)
    assert found.bits_per_latent_dim.value == pytest.approx(bits / 128, rel=1e-12)
    assert found.bytes_per_image.value == pytest.approx(bits / 8, rel=1e-12)
    assert found.nats.interval == (1000.0, 1000.0)


def test_a_video_counts_the_pixels_of_every_frame():
    table = tables(latent=(3, 2, 2, 2))
    found = account(**table, pixels=16 * 128 * 128, latent_shape=(3, 2, 2, 2), is_bound=True)
    expected = table["nats"].mean() / (16 * 128 * 128 * math.log(2.0))
    assert found.bits_per_pixel.value == pytest.approx(expected, rel=1e-12)
    assert found.by_position.shape == (2, 2, 2)


def test_both_splits_sum_to_the_rate():
    found = account(**tables(), pixels=256, latent_shape=(3, 2, 2), is_bound=False)
    split = found.by_noise_level
    assert split.nats.shape == (20,)
    assert split.edges.shape == (21,)
    assert split.nats.sum() + split.remainder == pytest.approx(found.nats.value, rel=1e-12)
    assert found.by_position.sum() * math.log(2.0) == pytest.approx(found.nats.value, rel=1e-12)


def test_the_label_is_the_objectives():
    assert label(True) == "upper bound"
    assert label(False) == "proxy"


def test_intervals_scale_with_their_unit():
    found = account(**tables(n=30), pixels=256, latent_shape=(3, 2, 2), is_bound=True)
    low, high = found.nats.interval
    assert low < found.nats.value < high
    scale = 256 * math.log(2.0)
    assert found.bits_per_pixel.interval == pytest.approx((low / scale, high / scale), rel=1e-12)


def test_split_by_noise_level_recovers_where_gaussian_information_is():
    """Uniform levels on a fine grid and exact expected diffusion terms."""
    n, k, s = 50, 400, 1.0
    log_snr = (5.0 - 15.0 * (np.arange(n * k) + 0.5) / (n * k)).reshape(k, n).T
    diffusion = 0.5 * 15.0 * np.exp(log_snr) * gaussian.posterior_variance(log_snr, s)
    split = split_by_noise_level(diffusion + 0.1, diffusion, log_snr, bins=15)
    expected = [
        gaussian.mutual_information(s, a, b) for a, b in zip(split.edges[:-1], split.edges[1:], strict=True)
    ]
    # Midpoint rule with 20,000 points: a bin's edge may cut one sample, worth 4e-4 at most.
    np.testing.assert_allclose(split.nats, expected, atol=4e-4)
    assert split.remainder == pytest.approx(0.1, rel=1e-9)


def test_bootstrap_interval_is_about_the_normal_one():
    rng = np.random.default_rng(5)
    nats = rng.normal(100.0, 10.0, (400, 1)) + rng.normal(0.0, 20.0, (400, 8))
    low, high = bootstrap_interval(nats)
    per_image = nats.mean(axis=1)
    half_width = 1.96 * per_image.std() / math.sqrt(400)
    # 2000 resamples fix an end point to about 5 % of the half-width.
    assert low == pytest.approx(per_image.mean() - half_width, abs=0.15 * half_width)
    assert high == pytest.approx(per_image.mean() + half_width, abs=0.15 * half_width)


def test_more_times_of_the_same_images_do_not_pretend_to_be_more_images():
    images = np.random.default_rng(6).normal(100.0, 10.0, (50, 1))
    few, many = (bootstrap_interval(np.repeat(images, k, axis=1)) for k in (1, 64))
    assert few == pytest.approx(many, rel=1e-12)


def test_bootstrap_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(7)
    trials, covered = 300, 0
    for trial in range(trials):
        nats = rng.gamma(4.0, 25.0, (40, 1)) + rng.normal(0.0, 30.0, (40, 4))
        low, high = bootstrap_interval(nats, resamples=300, seed=trial)
        covered += low <= 100.0 <= high
    # Nominally 95 %; the percentile interval of 40 skewed values loses about two points, and 300 trials
    # have a standard error of 1.3 points.
    assert 0.885 <= covered / trials <= 0.985


def test_bootstrap_repeats_with_its_seed_and_needs_two_images():
    nats = tables()["nats"]
    assert bootstrap_interval(nats, seed=3) == bootstrap_interval(nats, seed=3)
    assert bootstrap_interval(nats, seed=3) != bootstrap_interval(nats, seed=4)
    assert bootstrap_interval(nats[:1]) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nats": np.ones(6)}, "must be \\(images, times\\)"),
        ({"maps": np.ones((6, 3, 3))}, "maps must be"),
        ({"nats": np.full((6, 4), np.nan)}, "not finite"),
        ({"pixels": 0}, "pixels must be positive"),
    ],
)
def test_tables_that_do_not_fit_are_refused(change, message):
    arguments = {**tables(), "pixels": 256, "latent_shape": (3, 2, 2), "is_bound": True, **change}
    with pytest.raises(ValueError, match=message):
        account(**arguments)
