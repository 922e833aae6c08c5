"""Dataset of simple shapes."""
