"""What the checks must know of each kind."""
