"""Brings the demo's figures into README and docs, so that nobody types them.

    python docs/refresh_demo.py results/demo
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- demo: written by docs/refresh_demo.py -->\n", "<!-- end of demo -->"
COLUMNS = ("backbone", "pre epochs", "S→S", "S→R", "domain gap", "fine-tuned", "scratch", "scratch longer",
           "gain, equal fine-tuning", "gain, equal total")  # fmt: skip


def excerpt(report: str) -> str:
    """README's part of report.md: the headline, and the rows of width 512 with nothing frozen."""
    lines = report.splitlines()
    headline = [line for line in lines if line.startswith("- ")][:3]
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    heads = table[0]
    chosen = [heads.index(name) for name in COLUMNS]
    width, frozen, epochs = (heads.index(name) for name in ("width", "freeze", "pre epochs"))
    end = next(i for i, row in enumerate(table[1:], 1) if row[0] == "backbone")
    rows = [row for row in table[2:end] if (row[width], row[frozen]) == ("512", "none") and row[epochs] != "0"]
    shown = [list(COLUMNS), [":--", ":--", *["--:"] * (len(COLUMNS) - 2)], *([row[i] for i in chosen] for row in rows)]
    text = ["At width 512 with nothing frozen:", "", *("| " + " | ".join(row) + " |" for row in shown)]
    return "\n".join([*headline, "", *text, ""])


def readme_with(readme: str, report: str) -> str:
    """README with its demo part replaced."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + excerpt(report) + END + after


if __name__ == "__main__":
    folder = Path(sys.argv[1]) / "report"
    shutil.copyfile(folder / "report.md", ROOT / "docs" / "demo.md")
    shutil.copyfile(folder / "figures" / "curves.svg", ROOT / "docs" / "demo-curves.svg")
    readme = ROOT / "README.md"
    readme.write_text(readme_with(readme.read_text("utf-8"), (folder / "report.md").read_text("utf-8")), "utf-8")
