"""Verdicts for people: in the terminal, and as one self-contained page."""
