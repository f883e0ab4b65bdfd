"""What every measurement shares: timing, statistics, machines, models, lines, the format."""
