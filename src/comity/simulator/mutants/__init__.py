"""Mutants: named, deliberate bugs, to show that the simulator would notice.

A guarantee counts as proved when thousands of seeds pass *and* every mutant is caught. They live only
here: a subclass or a replaced method, for the time of one simulation.
"""

from comity.simulator.mutants.catalogue import MUTANTS, mutant_named
from comity.simulator.mutants.mutation import Mutant

__all__ = ["MUTANTS", "Mutant", "mutant_named"]
