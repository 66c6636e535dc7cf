"""What the script `run` is made of."""
