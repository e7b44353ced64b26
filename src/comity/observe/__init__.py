"""What a running node tells people: structured events and metrics. Knows nothing of the rest of comity."""
