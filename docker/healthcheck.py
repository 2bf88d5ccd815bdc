"""Exit with 0 while a line judges frames, else with 1 and why: the images' HEALTHCHECK.

STREAMLINE_URL names the line's endpoint, STREAMLINE_TOKEN_FILE its token, where it has one.
"""

import os
import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path

_TIMEOUT_S = 4


def _request() -> urllib.request.Request:
    url = os.environ.get("STREAMLINE_URL", "http://127.0.0.1:9464")
    request = urllib.request.Request(f"{url}/readyz")  # noqa: S310 - the operator's own
    if token_file := os.environ.get("STREAMLINE_TOKEN_FILE"):
        token = Path(token_file).read_text(encoding="utf-8").strip()
        request.add_header("Authorization", f"Bearer {token}")
    return request


def main() -> int:
    """Ask once."""
    # It is the line in this very container: who it is needs no certificate.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with urllib.request.urlopen(_request(), timeout=_TIMEOUT_S, context=context):  # noqa: S310
            return 0
    except urllib.error.HTTPError as exc:
        with exc:
            print(f"not ready ({exc.code}): {exc.read(2000).decode(errors='replace')}")  # noqa: T201
    except OSError as exc:
        print(f"no answer: {exc}")  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main())
