"""Built-in schedules, one a file."""
