"""The comparison of two commits' speed."""

from tools.bench_compare import compared


def test_medians_spreads_and_paired_ratios_are_told() -> None:
    # By pairs this tree is always twice as fast, though the rounds differ by more than that.
    other = [{"fps": 100.0, "lost": 0.0}, {"fps": 400.0, "lost": 0.0}, {"fps": 200.0, "lost": 0.0}]
    this = [{"fps": 200.0, "lost": 1.0}, {"fps": 800.0, "lost": 0.0}, {"fps": 400.0, "lost": 0.0}]
    head, fps, lost = compared("abc", other, this).splitlines()
    assert head.split() == ["abc", "this", "tree", "this", "÷", "that,", "by", "pairs"]
    told = [cell.strip() for cell in fps.split("  ") if cell]
    assert told == ["fps", "200 [100 to 400]", "400 [200 to 800]", "2 [2 to 2]"]
    assert lost.split()[-1] == "-"
