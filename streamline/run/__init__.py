"""A line in operation: its workers, what they run, and who looks after them."""

from streamline.run.report import CameraReport, Report
from streamline.run.supervisor import run_line

__all__ = ["CameraReport", "Report", "run_line"]
