"""Unified Latents as a declarative model zoo."""
