"""What is installed only on request, in the checkout: pip install '.[name]'."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from streamline.errors import InputError

__all__ = ["needs_extra"]


@contextmanager
def needs_extra(
    extra: str,
    packages: Collection[str],
    what: str,
    *,
    instead: str = "",
    error: type[InputError] = InputError,
) -> Iterator[None]:
    """Import what an extra brings inside this; whoever lacks it is told the cure.

    Parameters
    ----------
    extra : str
        Its name.
    packages : collection of str
        Top-level modules that it brings; if another is missing, that is a fault of ours.
    what : str
        What they are needed for, the beginning of the sentence.
    instead : str
        What else can be done.
    error : type of InputError

    Raises
    ------
    InputError
        If one of them is not installed; of the type that was given.
    """
    try:
        yield
    except ModuleNotFoundError as exc:
        missing = str(exc.name).partition(".")[0]
        if missing not in packages:
            raise
        cure = f"in the checkout: pip install '.[{extra}]'" + (f", or {instead}" if instead else "")
        msg = f"{what}: {missing} is not installed; {cure}"
        raise error(msg) from exc
