"""HTTP: health and metrics of the daemon; and a receiver to copy."""
