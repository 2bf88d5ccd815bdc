"""Full-size frames and heat maps, kept for each alert."""

from streamline.evidence.overlay import heat_over, overlay
from streamline.evidence.rate import TokenBucket
from streamline.evidence.writer import EvidenceWriter

__all__ = ["EvidenceWriter", "TokenBucket", "heat_over", "overlay"]
