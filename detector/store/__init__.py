"""What survives: one SQLite file, one transaction for what belongs together, and a codec of state that runs no code."""
