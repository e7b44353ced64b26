"""The simulator: whole clusters of real hosts in virtual time, under faults, judged."""
