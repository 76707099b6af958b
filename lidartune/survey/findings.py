"""What is wrong with a dataset's files or worth knowing of them: each kind once, with counts and the first files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lidartune.errors import UserError

KEPT = 1000  # files kept of one finding; the counts go on


@dataclass(frozen=True)
class Kind:
    """A kind of finding: what it is, of how many files or sequences, what to do; `wrong` makes the check fail."""

    what: str
    do: str
    wrong: bool = True


KINDS = {
    "empty-sequence": Kind("sequences without scans", "unpack their scans, or delete their folders"),
    "unlabelled-sequence": Kind("sequences without labels", "unpack their labels, or train on other sequences"),
    "unreadable": Kind("files that cannot be read", "check their type and permissions, or download them again"),
    "points-size": Kind(
        "files of points that are no multiple of 16 bytes (float32 x, y, z, remission)",
        "download or unpack them again: they are cut short or of another format",
    ),
    "labels-size": Kind(
        "label files that are no multiple of 4 bytes (uint32)",
        "download or unpack them again: they are cut short or of another format",
    ),
    "label-count": Kind(
        "label files with more or fewer labels than their scan has points",
        "download both again: one of the two is cut short or belongs to another scan",
    ),
    "missing-labels": Kind("scans without a label file", "unpack the labels again, or delete these scans"),
    "extra-labels": Kind("label files without a scan", "unpack the scans again, or delete these labels"),
    "empty-scan": Kind("scans without a point", "download them again, or delete them with their labels"),
    "unknown-id": Kind(
        "label ids that the taxonomy does not know",
        "choose this dataset's taxonomy, or add the id to `labels` and `learning_map` in a copy of it",
    ),
    "nan": Kind("scans with NaN", "find out what wrote them; the canvas leaves these points out"),
    "infinite": Kind("scans with infinite values", "find out what wrote them; the canvas leaves these points out"),
    "origin": Kind("scans with points at the origin", "nothing: the canvas leaves these points out", wrong=False),
    "same-scan": Kind(
        "scans with the same points as an earlier one",
        "see that no test scan is also a training scan",
        wrong=False,
    ),
    "split-elsewhere": Kind(
        "sequences that the taxonomy's split names and that are not here",
        "nothing, if you left them out on purpose",
        wrong=False,
    ),
    "no-split": Kind("sequences that are in no split of the taxonomy", "name the splits in the study's YAML", False),
}


@dataclass(kw_only=True)
class Finding:
    """One kind of finding in one dataset; `detail` tells several of a kind apart (the unknown id)."""

    kind: str
    detail: str = ""
    count: int = 0
    points: int = 0
    first: list[dict[str, str]] = field(default_factory=list)
    """The first KEPT of them: {"path", "found"}."""

    @property
    def wrong(self) -> bool:
        """Whether it makes the check fail."""
        return KINDS[self.kind].wrong


class Findings:
    """All findings in one dataset, in the order of KINDS."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], Finding] = {}

    def add(self, kind: str, path: Path | str, found: str = "", *, points: int = 0, detail: str = "") -> None:
        """Notes a file or sequence."""
        finding = self._found.setdefault((kind, detail), Finding(kind=kind, detail=detail))
        finding.count += 1
        finding.points += points
        if len(finding.first) < KEPT:
            finding.first.append({"path": str(path), "found": found})

    def add_error(self, error: UserError, path: Path) -> None:
        """Notes a file that could not be read."""
        lines = [line.strip() for line in str(error).splitlines()]
        reason = next((line.removeprefix("found:").strip() for line in lines if line.startswith("found:")), "")
        self.add("unreadable", path, f"{error.what}: {reason}" if reason else error.what)

    def sorted(self) -> list[Finding]:
        """By kind, then by how many points and files."""
        order = {kind: number for number, kind in enumerate(KINDS)}
        return sorted(self._found.values(), key=lambda f: (order[f.kind], -f.points, -f.count, f.detail))
