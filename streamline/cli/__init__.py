"""The command line: the only package that prints, and the one place that picks exit codes.

0: done.  1: the work failed, or a check found a fault.  2: bad input or configuration.
Every command's module imports what is heavy inside its function, so that help and mistakes
in the command line are answered at once.
"""

import os
import re
import sys
from collections.abc import Sequence
from typing import Final

import typer

from streamline import __version__
from streamline.cli.bench import bench
from streamline.cli.calibrate import calibrate
from streamline.cli.check import check
from streamline.cli.demo import demo
from streamline.cli.doctor import doctor
from streamline.cli.eval import evaluate
from streamline.cli.fit import fit
from streamline.cli.keys import keys
from streamline.cli.model import model
from streamline.cli.paper import paper
from streamline.cli.parity import parity
from streamline.cli.replay import replay
from streamline.cli.rerank import rerank
from streamline.cli.run import begin_to_run, run, stage
from streamline.cli.score import score
from streamline.cli.show import show
from streamline.cli.verify import verify
from streamline.errors import ConfigError, InputError, StreamlineError

__all__ = ["command_line", "main"]

# The parser's own error has no public name in typer; it is what BadParameter derives from.
_UsageError: Final[type[Exception]] = typer.BadParameter.__bases__[0]

_PLAINER: Final = (
    (r": Value error, ", ": "),
    (r": Input should be a valid integer, unable to parse .*", ": must be a whole number"),
    (r": Input should be a valid number, unable to parse .*", ": must be a number"),
    (r": Input should be ", ": must be "),
)
"""What the parser says of a value in its validator's words, and ours."""

_app = typer.Typer(
    name="streamline",
    help="Real-time video inspection: cameras in, verdicts and alerts out.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_app.command("demo")(demo)
_app.command("fit")(fit)
_app.command("score")(score)
_app.command("run")(run)
_app.command("stage")(stage)
_app.command("check")(check)
_app.command("doctor")(doctor)
_app.command("verify")(verify)
_app.command("replay")(replay)
_app.command("keys")(keys)
_app.command("eval")(evaluate)
model.command("show")(show)
model.command("calibrate")(calibrate)
model.command("rerank")(rerank)
model.command("parity")(parity)
_app.add_typer(model, name="model")
bench.command("paper")(paper)
_app.add_typer(bench, name="bench")


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer's signature
    if wanted:
        typer.echo(f"streamline {__version__}")
        raise typer.Exit


@_app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    *,
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Print the version."
    ),
) -> None:
    del version  # Its callback has done the work.
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


def command_line() -> typer.core.TyperGroup:
    """Return all commands with their options, as the parser has them."""
    group = typer.main.get_group(_app)
    group.name = "streamline"
    return group


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; what went wrong is told on standard error."""
    _keep_blas_to_one_thread()
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        begin_to_run(given)
        result = command_line().main(
            args=given,
            prog_name="streamline",
            standalone_mode=False,
        )
    except _UsageError as exc:
        return _tell(_usage(exc), 2)
    except ConfigError as exc:
        # Its lines begin with FILE:LINE, which editors and terminals make a link of.
        return _tell(str(exc), 2, prefix="")
    except StreamlineError as exc:
        return _tell(str(exc), 2 if isinstance(exc, InputError) else 1)
    except (KeyboardInterrupt, typer.Abort):
        return _tell("interrupted", 130)
    except BrokenPipeError:
        # Whoever read the output has gone, which is no fault; Python would complain at exit.
        sys.stderr.close()
        return 0
    return result if isinstance(result, int) else 0


def _keep_blas_to_one_thread() -> None:
    """Keep NumPy's products in the thread that asks for them, here and in workers.

    It is told before NumPy is loaded. The threads of its library spin while they wait for one
    another, beside those that compute features and scores: a fit on two cores took half as much
    processor time again with them.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def _tell(message: str, code: int, *, prefix: str = "streamline: ") -> int:
    print(f"{prefix}{message}", file=sys.stderr)
    return code


def _usage(error: Exception) -> str:
    """Say in one sentence what is wrong with the command line, and where to read more."""
    context = getattr(error, "ctx", None)
    path = "streamline" if context is None else context.command_path
    # A missing choice is told in several lines.
    message = " ".join(getattr(error, "format_message", error.__str__)().split())
    for pattern, words in _PLAINER:
        message = re.sub(pattern, words, message, count=1)
    return f"{message.rstrip('.')} (see {path} --help)"
