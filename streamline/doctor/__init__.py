"""What a support engineer would ask about a computer, its cameras and a pipeline file."""

from streamline.doctor.examination import Examination, examine_computer, examine_pipeline
from streamline.doctor.finding import Finding, Status
from streamline.doctor.fragment import pipeline_for
from streamline.doctor.probe import Probe, probe

__all__ = [
    "Examination",
    "Finding",
    "Probe",
    "Status",
    "examine_computer",
    "examine_pipeline",
    "pipeline_for",
    "probe",
]
