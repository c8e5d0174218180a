"""Writes a run's report: `report.html` and `report.md` in the run folder."""

from pathlib import Path

from indirect_rlvr.reporting.html import html
from indirect_rlvr.reporting.markdown import markdown
from indirect_rlvr.run import write_text


def write(run: Path) -> tuple[Path, Path]:
    """Write both files, atomically, from the run's other files alone; returns their paths.

    Raises DataError that names a missing or broken file, RunError where the disk refuses.
    """
    pages = {run / "report.html": html(run), run / "report.md": markdown(run)}
    for path, page in pages.items():
        write_text(path, page)
    return run / "report.html", run / "report.md"
