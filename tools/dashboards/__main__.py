"""Write the dashboards as Grafana reads them: python -m tools.dashboards."""

from pathlib import Path

from tools.dashboards.all import rendered

FOLDER = Path(__file__).resolve().parents[2] / "docker/grafana/dashboards"


def main() -> None:
    """Write every dashboard into its file."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in rendered().items():
        (FOLDER / name).write_text(text)
        print(FOLDER / name)


if __name__ == "__main__":
    main()
