"""What a line makes of a pipeline file that it is to go on with."""

import pytest
from structlog.testing import capture_logs

from streamline.config import Pipeline
from streamline.errors import ConfigError
from streamline.run.supervision.herald import Herald
from streamline.run.supervision.line import Renewal
from streamline.run.supervision.manager import ServiceManager

ADDRESS = "rtsp://bob:hunter2@10.0.0.7/"


@pytest.mark.parametrize(
    ("raised", "why"),
    [
        pytest.param(ConfigError("line.yaml:3: is wrong"), "line.yaml:3: is wrong", id="ours"),
        pytest.param(
            ValueError(ADDRESS), "it can't be read or started (ValueError, see log)", id="another"
        ),
        pytest.param(
            RecursionError(), "it can't be read or started (RecursionError, see log)", id="deep"
        ),
    ],
)
def test_whatever_a_new_file_does_the_line_goes_on_as_before(
    pipeline: Pipeline, raised: Exception, why: str
) -> None:
    def reread() -> Pipeline:
        raise raised

    herald = Herald(ServiceManager())
    with capture_logs() as told:
        assert Renewal(herald, pipeline, reread)() is None
    assert herald.refused
    (entry,) = [one for one in told if one["log_level"] == "error"]
    assert entry["why"] == why
    assert entry["exc_info"] is (None if isinstance(raised, ConfigError) else raised)
