"""The quality of failure detectors, measured in virtual time: `measure(...) -> list[Row]`."""

from comity.simulator.detection.links import Links
from comity.simulator.detection.measure import (
    SIZES,
    Quantiles,
    Row,
    Wrong,
    detections,
    measure,
    mistakes,
    traffic,
)
from comity.simulator.detection.report import markdown, plot
from comity.simulator.detection.scenarios import CONTENDERS, CRASH, LOSS, PAUSES, SLOW, Contender, Scenario
from comity.simulator.detection.world import Seen, World

__all__ = [
    "CONTENDERS",
    "CRASH",
    "LOSS",
    "PAUSES",
    "SIZES",
    "SLOW",
    "Contender",
    "Links",
    "Quantiles",
    "Row",
    "Scenario",
    "Seen",
    "World",
    "Wrong",
    "detections",
    "markdown",
    "measure",
    "mistakes",
    "plot",
    "traffic",
]
