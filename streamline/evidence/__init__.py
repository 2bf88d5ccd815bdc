"""Full-size frames and heat maps, kept for alerts and what else is asked for."""

from streamline.evidence.overlay import heat_over, overlay
from streamline.evidence.store import Item, Limits, Store
from streamline.evidence.writer import EvidenceWriter

__all__ = ["EvidenceWriter", "Item", "Limits", "Store", "heat_over", "overlay"]
