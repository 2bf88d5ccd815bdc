"""What is installed."""

import subprocess
import sys
from pathlib import Path

from streamline.config import load
from streamline.doctor.finding import Status
from streamline.doctor.installation import extras, installed_opencv, opencv, versions
from streamline.machine import this_machine


def test_both_packages_of_opencv_are_told_with_the_command_that_leaves_one() -> None:
    found = opencv({"opencv-python-headless": "5.0", "opencv-python": "4.9"})
    assert found.status is Status.WARN
    assert "each overwrites files of the other" in found.what
    assert found.remedy == (
        "pip uninstall -y opencv-python-headless opencv-python && "
        "pip install opencv-python-headless"
    )


def test_the_one_that_is_installed_is_fine() -> None:
    installed = installed_opencv()
    assert set(installed) == {"opencv-python-headless"}
    assert opencv(installed).status is Status.OK


def test_versions_name_this_program_python_and_openvino() -> None:
    what = versions(this_machine()).what
    assert all(name in what for name in ("streamline ", "python 3.", "openvino 20"))


def test_looking_at_the_computer_loads_neither_torch_nor_what_reports_use() -> None:
    code = (
        "import sys; from streamline.doctor import examine_computer; found = examine_computer();"
        "(told,) = [one for one in found.findings if one.check == 'telemetry'];"
        "assert told.status == 'ok' and 'openvino' in sys.modules;"
        "assert getattr(sys.modules['openvino_telemetry'], '__file__', None) is None;"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_libraries_that_a_file_asks_for_are_looked_for(tmp_path: Path) -> None:
    (tmp_path / "line.yaml").write_text(
        "version: 1\nmodel: m\ncameras: {a: usb:0}\n"
        "alert: {sinks: [{type: mqtt, host: broker}], plc: {host: plc}}\n"
    )
    assert [one.what for one in extras(load(tmp_path / "line.yaml"))] == [
        "paho is installed",
        "pymodbus is installed",
    ]
