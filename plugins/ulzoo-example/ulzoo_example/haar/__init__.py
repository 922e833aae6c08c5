"""Haar wavelet encoder."""
