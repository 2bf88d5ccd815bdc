"""Frame rates of the contenders, and what they come to against one another."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, NamedTuple

from streamline.bench import PaperBench, PublishedSpeeds
from streamline.cli.table import render
from streamline.machine import Machine
from tools.judge.goals import Goals

__all__ = [
    "Contender",
    "Entry",
    "PeersBench",
    "Ratio",
    "Run",
    "entries_of",
    "goals_of",
    "ratios_of",
]

_OURS: Final = ("FRE pooled", "FRE full")
_LOOP: Final = "FRE"
_BANK: Final = "PatchCore"

_OVER_LOOP: Final[Mapping[str, float]] = {"FRE pooled": 1.8, "FRE full": 1.7}
_OVER_BANK: Final = 50.0
"""What is wanted, in times: of anomalib's FRE exported to OpenVINO, and of its PatchCore."""


class Contender(NamedTuple):
    """A method, what runs it and its arithmetic."""

    what: str
    how: str
    precision: str


class Run(NamedTuple):
    """One run of a contender."""

    fps: float
    """From the clip to the verdict."""

    others: float
    """Share of the processors that other work took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a contender did."""

    what: str
    how: str
    precision: str
    fps: float
    """Median of the rounds."""

    rounds: Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """How many times the frame rate of one method another one's is."""

    what: str
    over: str
    f32: float
    """Both in single precision, the better way to run each."""

    best: float
    """The best of each, whatever its arithmetic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeersBench:
    """What was measured here, beside what the paper printed."""

    clip: str
    weights: str
    entries: Sequence[Entry]
    ratios: Sequence[Ratio]
    not_measured: Sequence[str]
    met: bool
    """Whether all goals were."""

    published: PublishedSpeeds
    paper: PaperBench | None
    """Learning and judging from memory, where that was asked for."""

    others: float
    """Share of the processors that other work took, in the worst run."""

    quiet: bool
    """Whether that was little enough for the figures to count."""

    machine: Machine

    def table(self) -> str:
        """Return a row per contender, and the ratios beside the paper's."""
        has_bf16 = any(one.precision == "bf16" for one in self.entries)
        weights = f"{self.weights} weights (speed does not depend on them)"
        lines = [
            f"ResNet-50 with {weights}, from the clip to the verdict",
            render(_rates(self.entries), words=(0, 1, 2)),
            "",
            "FRE ÷ PatchCore: how many times its frames a second",
            render(_gains(self.ratios, self.published)),
            "",
            f"not measured: {', '.join(self.not_measured)}"
            + ("" if has_bf16 else "; bf16, which this processor does not have"),
            f"the paper: {self.published.source}",
        ]
        return "\n".join(lines)


def entries_of(runs: Mapping[Contender, Sequence[Run]]) -> list[Entry]:
    """Take the medians."""
    rates = {one: [run.fps for run in several] for one, several in runs.items()}
    return [
        Entry(**one._asdict(), fps=median(several), rounds=several)
        for one, several in rates.items()
    ]


def ratios_of(entries: Sequence[Entry]) -> list[Ratio]:
    """Compare single precision with single precision, and the best with the best.

    Of PatchCore all that anomalib's FRE and the two heads of this one are; of anomalib's FRE, as
    its users run it in OpenVINO, the two heads.
    """
    loop = [one for one in entries if (one.what, one.how) != (_LOOP, "torch")]
    over_bank = [_ratio(entries, what, _BANK) for what in (_LOOP, *_OURS)]
    return over_bank + [_ratio(loop, what, _LOOP) for what in _OURS]


def _ratio(entries: Sequence[Entry], what: str, over: str) -> Ratio:
    def fastest(method: str, counts: Callable[[Entry], bool]) -> float:
        return max(one.fps for one in entries if one.what == method and counts(one))

    def single(one: Entry) -> bool:
        return one.precision == "f32"

    def every(_: Entry) -> bool:
        return True

    return Ratio(
        what=what,
        over=over,
        f32=fastest(what, single) / fastest(over, single),
        best=fastest(what, every) / fastest(over, every),
    )


def goals_of(ratios: Sequence[Ratio], others: float) -> Goals:
    """Hold the best of each against what is wanted."""
    goals = Goals(others=others)
    best = {(one.what, one.over): one.best for one in ratios}
    for what, wanted in _OVER_LOOP.items():
        goals.at_least(f"{what} ÷ anomalib's FRE in OpenVINO", wanted, best[what, _LOOP])
    for what in _OURS:
        goals.at_least(f"{what} ÷ anomalib's PatchCore", _OVER_BANK, best[what, _BANK])
    return goals


def _rates(entries: Sequence[Entry]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("", "by", "arithmetic", "frames a second", "in rounds")]
    rows += [
        (
            one.what,
            one.how,
            one.precision,
            f"{one.fps:.2f}",
            f"{min(one.rounds):.2f} to {max(one.rounds):.2f}",
        )
        for one in entries
    ]
    return rows


def _gains(ratios: Sequence[Ratio], published: PublishedSpeeds) -> list[tuple[str, ...]]:
    found = [one for one in ratios if one.over == _BANK]
    systems = published.systems
    return [
        ("", *(_headed(one.what) for one in found), *(f"paper: {one.name}" for one in systems)),
        (
            "f32 against f32",
            *(f"{one.f32:.1f}" for one in found),
            *(f"{one.gain:.1f}" for one in systems),
        ),
        ("best against best", *(f"{one.best:.1f}" for one in found), *("" for _ in systems)),
    ]


def _headed(what: str) -> str:
    return "anomalib's FRE" if what == _LOOP else what
