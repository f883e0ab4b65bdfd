"""Training steps and the check before them."""
