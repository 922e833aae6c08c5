"""What is written when a step is not finite, and how it is played again: `ulzoo replay`."""
