"""From the scores of a network's time steps to text."""
