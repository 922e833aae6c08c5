"""The mathematics of diffusion on log-SNR, as pure functions."""
