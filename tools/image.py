"""Do what a Dockerfile does without an engine, then run its line: python -m tools.image.

Commands are taken from the file as they stand; only the folders that they name lie below a folder
of our own, Debian packages are not installed, and Python is this computer's.  The line of the
demonstration then runs in the clean environment, as the image's user where this is root, its
camera `--camera URL` or else the rendered clip, until the image's health check is content and a
while longer.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["Instruction", "instructions"]

ROOT: Final = Path(__file__).resolve().parents[1]
FOLDERS: Final = ("/src", "/opt/streamline", "/var/lib/streamline", "/var/cache/streamline")
SYSTEM: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
USER: Final = 10001
READY_S: Final = 300


class Instruction(NamedTuple):
    """One of a Dockerfile's."""

    word: str
    text: str


def instructions(text: str) -> list[Instruction]:
    """Return a Dockerfile's instructions, continued lines joined, comments left out."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    found = (line.partition(" ") for line in joined.splitlines() if line.strip())
    return [Instruction(word, " ".join(rest.split())) for word, _, rest in found]


class Image:
    """A folder in which an image's commands are carried out."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.environment = {"HOME": "/nonexistent", "LANG": "C.UTF-8", "PATH": SYSTEM}

    def here(self, text: str) -> str:
        """Return a text with the image's folders as they are here."""
        names = "|".join(map(re.escape, FOLDERS))
        return re.sub(rf"(?<![\w.])({names})\b", rf"{self._folder}\1", text)

    def build(self, dockerfile: str) -> None:
        """Carry out what builds it."""
        for folder in FOLDERS:
            Path(self.here(folder)).mkdir(parents=True, exist_ok=True)
        work = Path(self.here("/src"))
        for one in instructions(dockerfile):
            if one.word == "COPY" and not one.text.startswith("--from"):
                self._copy(one.text, work)
            elif one.word == "RUN" and "apt-get" not in one.text and "useradd" not in one.text:
                print(f"RUN {one.text}", flush=True)
                builders = {**os.environ, "PATH": SYSTEM, "PYTHONPATH": ""}
                command = ["sh", "-euc", self.here(one.text)]
                subprocess.run(command, cwd=work, env=builders, check=True)
            elif one.word == "ENV":
                self._set(one.text)

    def _copy(self, text: str, work: Path) -> None:
        *sources, target = text.split()
        place = work / self.here(target)
        for source in sources:
            into = place / Path(source).name if target.endswith("/") else place
            into.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / source).is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / source, into, dirs_exist_ok=True, ignore=ignored)
            else:
                shutil.copy(ROOT / source, into)

    def _set(self, text: str) -> None:
        for pair in shlex.split(text):
            name, _, value = pair.partition("=")
            value = value.replace("$PATH", self.environment["PATH"])
            self.environment[name] = self.here(value)

    def hand_over(self) -> list[str]:
        """Give the user its folders; return what runs a command as that user."""
        if os.geteuid() != 0:
            return []
        for name in FOLDERS[2:]:
            os.chown(self.here(name), USER, USER)
        for folder in (self._folder, *self._folder.parents):
            if folder.stat().st_mode & 0o005 != 0o005:
                folder.chmod(folder.stat().st_mode | 0o005)
        return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--no-new-privs"]


@contextmanager
def running(command: list[str], image: Image, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the line; end it whatever happens."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=image.environment,
            cwd=image.here("/var/lib/streamline"),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def require(holds: bool, what: str) -> None:  # noqa: FBT001 - what must hold
    """End, saying what is wrong, unless something holds."""
    if not holds:
        sys.exit(what)


def command_of(dockerfile: str, word: str) -> list[str]:
    """Return a command that is written as a list."""
    text = next(one.text for one in instructions(dockerfile) if one.word == word)
    found: list[str] = json.loads(text[text.index("[") :])
    return found


def require_no_torch(image: Image, user: list[str]) -> None:
    """Check that what is installed is what the image says."""
    done = subprocess.run(
        [*user, "python3", "-c", "import streamline.cli, torch"],
        env=image.environment,
        cwd=image.here("/var/lib/streamline"),
        capture_output=True,
        check=False,
    )
    require(b"No module named 'torch'" in done.stderr, f"torch is there: {done.stderr!r}")


def try_line(image: Image, user: list[str], dockerfile: str, seconds: float) -> None:
    """Run the demonstration's line until the image's own check is content, and a while longer."""
    entry = command_of(dockerfile, "ENTRYPOINT")
    check = [image.here(part) for part in command_of(dockerfile, "HEALTHCHECK")]
    log = Path(tempfile.gettempdir()) / f"streamline-image-{os.getpid()}.log"
    file = Path(image.here("/src/line.yaml"))
    shutil.copy(ROOT / "docker/demo.yaml", file)
    for verb in ("check", "doctor"):
        subprocess.run([*user, *entry, verb, str(file)], env=image.environment, check=False)
    began = time.monotonic()
    with running([*user, *entry, "run", str(file)], image, log) as process:
        while subprocess.run([*user, *check], env=image.environment, check=False).returncode:
            require(process.poll() is None, f"the line has ended:\n{log.read_text()}")
            late = time.monotonic() - began > READY_S
            require(not late, f"not healthy in {READY_S} s:\n{log.read_text()}")
            time.sleep(1)
        print(f"healthy after {time.monotonic() - began:.1f} s", flush=True)
        time.sleep(seconds)
        process.terminate()
        status = process.wait(60)
    print(log.read_text())
    require(status == 0, f"the line ended with status {status}")


def main() -> int:
    """Build and try an image."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--camera", default="demo://inspect?seed=0", help="URL of the camera")
    parser.add_argument("--seconds", type=float, default=10, help="how long the line runs")
    arguments = parser.parse_args()
    dockerfile = (ROOT / "docker/Dockerfile").read_text()
    with tempfile.TemporaryDirectory(prefix="streamline-image-") as folder:
        image = Image(Path(folder))
        image.build(dockerfile)
        image.environment["CAMERA_URL"] = arguments.camera
        user = image.hand_over()
        require_no_torch(image, user)
        try_line(image, user, dockerfile, arguments.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
