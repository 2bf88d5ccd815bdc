"""Goals of a judgement, and whether they were met."""

from dataclasses import dataclass, field

from streamline.bench.processor import QUIET

__all__ = ["Goals"]


@dataclass
class Goals:
    """What was wanted and what was seen, in the order of asking."""

    rows: list[tuple[str, str, str, bool]] = field(default_factory=list)
    """Goal, wanted, seen, met."""

    others: float | None = None
    """Share of the processors that other work took meanwhile."""

    def at_least(self, goal: str, wanted: float, seen: float, unit: str = "") -> None:
        """Want *seen* to be no less."""
        self.rows.append((goal, f"≥ {wanted:g}{unit}", f"{seen:.4g}{unit}", seen >= wanted))

    def at_most(self, goal: str, wanted: float, seen: float, unit: str = "") -> None:
        """Want *seen* to be no more."""
        self.rows.append((goal, f"≤ {wanted:g}{unit}", f"{seen:.4g}{unit}", seen <= wanted))

    def note(self, what: str, seen: float, unit: str = "") -> None:
        """Tell a figure of which nothing is wanted."""
        self.rows.append((what, "", f"{seen:.4g} {unit}".strip(), True))

    def equal(self, goal: str, wanted: object, seen: object) -> None:
        """Want *seen* to be that."""
        self.rows.append((goal, str(wanted), str(seen), seen == wanted))

    @property
    def met(self) -> bool:
        """Whether all were."""
        return all(met for *_, met in self.rows)

    def table(self) -> str:
        """Return a row per goal, and how quiet the machine was."""
        width = max(len(row[0]) for row in self.rows)
        lines = [
            f"{goal:{width}}  {wanted:>12}  {seen:>12}  {_verdict(wanted, met=met)}"
            for goal, wanted, seen, met in self.rows
        ]
        if self.others is not None:
            verdict = "quiet" if self.others <= QUIET else "NOT QUIET: may be repeated"
            lines.append(f"other work took {self.others:.1%} of the processors: {verdict}")
        return "\n".join(lines)


def _verdict(wanted: str, *, met: bool) -> str:
    if not wanted:
        return ""
    return "met" if met else "MISSED"
