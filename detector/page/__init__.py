"""HTTP: health, metrics, the page and its API; and a receiver to copy."""
