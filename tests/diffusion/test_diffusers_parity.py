"""DDIM and DPM-Solver++ against an independent implementation on the same levels, noise and network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from shapes import SCHEDULES

from ulzoo.components.samplers.ddim import ddim
from ulzoo.components.samplers.dpmpp_2m import dpmpp_2m
from ulzoo.diffusion.sampling import levels
from ulzoo.interfaces import ScheduleIO

diffusers = pytest.importorskip("diffusers", reason="needs the extra `parity`: pip install 'ulzoo[parity]'")
torch = pytest.importorskip("torch", reason="needs the extra `parity`: pip install 'ulzoo[parity]'")

STEPS = 20
Z = np.random.default_rng(0).normal(size=(2, 3, 4, 4))


def network(z, log_snr, tanh):
    """A denoiser that is linear neither in z nor in the level."""
    return tanh(z * (1.5 + 0.1 * log_snr)) + 0.05 * tanh(3.0 * z)


def ours(sampler, log_snrs, clean):
    with jax.enable_x64(True):
        end = sampler(
            lambda z, level: network(z, level, jnp.tanh),
            jnp.asarray(Z),
            jnp.asarray(log_snrs),
            key=jax.random.key(0),
            clean=clean,
        )
        return np.asarray(end)


def theirs(scheduler, timesteps, log_snrs):
    """Timestep i of the scheduler is our level `log_snrs[-1 - i]`. Returns (last sample, last x̂)."""
    z = torch.tensor(Z)
    for t in timesteps:
        x_hat = network(z, float(log_snrs[-1 - int(t)]), torch.tanh)
        z = scheduler.step(x_hat, t, z).prev_sample
    return z.numpy(), x_hat.numpy()


def betas(log_snrs):
    """The discrete process whose cumulative α² are our levels, the least noisy first."""
    alpha_squared = 1.0 / (1.0 + np.exp(-log_snrs[::-1]))
    ratios = np.append(alpha_squared[0], alpha_squared[1:] / alpha_squared[:-1])
    return 1.0 - ratios, torch.tensor(alpha_squared)


@pytest.fixture(params=["linear", "cosine"])
def log_snrs(request):
    return np.asarray(levels(SCHEDULES[request.param].build(ScheduleIO(5.0)), STEPS), np.float64)


@pytest.mark.parametrize("clean", [False, True])
def test_ddim(log_snrs, clean):
    trained_betas, alphas_cumprod = betas(log_snrs)
    scheduler = diffusers.DDIMScheduler(
        num_train_timesteps=STEPS + 1,
        trained_betas=trained_betas,
        prediction_type="sample",
        clip_sample=False,
        set_alpha_to_one=True,
    )
    # Its float32 product of betas loses digits of 1 − α² where that is small.
    scheduler.alphas_cumprod = alphas_cumprod
    scheduler.set_timesteps(STEPS + 1)
    # One timestep more than our steps: the one that would go on from our last level is left out. With
    # `clean` the last x̂ is compared, which is what its step to α = 1 returns.
    assert scheduler.timesteps.tolist() == list(range(STEPS, -1, -1))
    end, x_hat = theirs(scheduler, scheduler.timesteps[:-1], log_snrs)
    # Double precision on both sides; α and σ are computed through different formulas.
    np.testing.assert_allclose(ours(ddim, log_snrs, clean), x_hat if clean else end, atol=1e-9)


@pytest.mark.parametrize("clean", [False, True])
def test_dpm_solver_plus_plus(log_snrs, clean):
    trained_betas, alphas_cumprod = betas(log_snrs)
    scheduler = diffusers.DPMSolverMultistepScheduler(
        num_train_timesteps=STEPS + 1,
        trained_betas=trained_betas,
        prediction_type="sample",
        algorithm_type="dpmsolver++",
        solver_order=2,
        solver_type="midpoint",
        lower_order_final=False,
        # "zero" ends with a step of first order to σ = 0, "sigma_min" at our last level.
        final_sigmas_type="zero" if clean else "sigma_min",
    )
    scheduler.alphas_cumprod = alphas_cumprod
    scheduler.set_timesteps(timesteps=list(range(STEPS, 0, -1)))
    end, _ = theirs(scheduler, scheduler.timesteps, log_snrs)
    # It rounds its levels to float32: 1e-7 a step, times the network's slope of up to 2.
    np.testing.assert_allclose(ours(dpmpp_2m, log_snrs, clean), end, atol=1e-5)
