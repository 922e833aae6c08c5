"""Trained weights and functions for programs other than ulzoo, and weights back from files."""
