"""Built-in weightings, one a file."""
