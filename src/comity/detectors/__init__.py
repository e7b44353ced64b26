"""Failure detectors: who seems to be alive, and who works and had better be routed around.

`Detector` is the contract; heartbeats with fixed limits, phi accrual, and SWIM with Lifeguard keep it.
`GrayFailures` judges what detectors do not see.
"""

from comity.detectors.detector import Detector, Status, Taken, Transition
from comity.detectors.gray import Finding, GrayFailures, Report
from comity.detectors.heartbeat import HeartbeatDetector
from comity.detectors.messages import CODEC, Update
from comity.detectors.options import PLAIN_SWIM, GrayOptions, HeartbeatOptions, PhiOptions, SwimOptions
from comity.detectors.phi import PhiDetector, phi_of
from comity.detectors.swim import Swim

__all__ = [
    "CODEC",
    "PLAIN_SWIM",
    "Detector",
    "Finding",
    "GrayFailures",
    "GrayOptions",
    "HeartbeatDetector",
    "HeartbeatOptions",
    "PhiDetector",
    "PhiOptions",
    "Report",
    "Status",
    "Swim",
    "SwimOptions",
    "Taken",
    "Transition",
    "Update",
    "phi_of",
]
