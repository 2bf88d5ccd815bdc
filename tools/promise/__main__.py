"""Hold the promised false-alarm rate against what it comes to on frames that were not seen.

    python -m tools.promise --pictures MT_Free/Imgs --pictures train/good test/good --clip CLIP

Each `--pictures` is one set of normal pictures. Exit code 1 if a mean rate is above its alpha by
more than two standard errors.
"""

import argparse
import sys
from pathlib import Path

from streamline.config import VideoSource
from streamline.evaluate.frames import PreparedImages
from streamline.learn import SelectedFrames, Selection
from streamline.source import image_paths
from tools.options import from_one_on
from tools.promise.clip import hold_against
from tools.promise.features import Frames
from tools.promise.resample import resample

_K, _N = 3, 5
_SIZE = 256


def main() -> int:
    """Print a row for each rate; return the exit code."""
    options = _options()
    kept = [_resampled(folders, options) for folders in options.pictures]
    if options.clip is not None:
        _clip(options.clip, options.alphas)
    return 0 if all(kept) else 1


def _resampled(folders: list[Path], options: argparse.Namespace) -> bool:
    paths = [path for folder in folders for path in image_paths(folder)]
    # Masks lie between the photographs of magnetic tiles, as .png beside .jpg.
    paths = [path for path in paths if path.suffix == ".jpg"] or paths
    frames = Frames(PreparedImages(paths, size=(_SIZE, _SIZE)))
    print(f"{', '.join(map(str, folders))}: {len(frames)} pictures, {options.rounds} rounds")
    print(f"{'':10}{'held out':>9}{'tested':>8}{'alpha':>7}{'mean rate':>11}{'std. error':>12}")
    rows = resample(frames, options.alphas, rounds=options.rounds, seed=0)
    for row in rows:
        counts = f"{row.way:10}{row.frames:9}{row.tested:8}{row.alpha:7.3f}"
        print(f"{counts}{row.rate:11.4f}{row.error:12.4f}{'' if row.kept else '  ABOVE'}")
    return all(row.kept for row in rows)


def _clip(clip: Path, alphas: list[float]) -> None:
    selected = SelectedFrames([VideoSource(path=clip)], Selection(max_frames=10**9), size=_SIZE)
    frames = Frames(selected)
    print(f"{clip}: {len(frames)} frames, by thirds; alerts of {_K} in {_N}")
    print("fit  calibrate  test  alpha  worth  share that failed  alerts  promised at most (95 %)")
    for alpha in alphas:
        for one in hold_against(frames, alpha, k=_K, n=_N):
            fit, calibrate, test = one.thirds
            print(
                f"{fit:3}{calibrate:11}{test:6}{one.alpha:7.2f}{one.effective:7.0f}"
                f"{one.fails:19.3f}{one.alerts:8}{one.most:15.1f}"
            )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.promise", description=__doc__)
    parser.add_argument(
        "--pictures", type=Path, nargs="+", action="append", default=[], metavar="FOLDER"
    )
    parser.add_argument("--clip", type=Path, metavar="FILE")
    parser.add_argument("--alphas", type=float, nargs="+", default=[0.01, 0.05], metavar="A")
    parser.add_argument("--rounds", type=from_one_on, default=200, metavar="N")
    options = parser.parse_args()
    if options.rounds < 2 or not (options.pictures or options.clip):
        parser.error("give --pictures or --clip, and 2 rounds or more")
    return options


if __name__ == "__main__":
    sys.exit(main())
