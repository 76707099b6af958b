"""What is wrong with a dataset's files or worth knowing of them: each kind once, with counts and the first files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lidartune.errors import UserError
from lidartune.survey.bins import FARTHEST_M, LARGEST_REMISSION

KEPT = 1000  # files kept of one finding; the counts go on


@dataclass(frozen=True)
class Kind:
    """A kind of finding: what it is, of how many files or sequences, what to do; `wrong` makes the check fail."""

    what: str
    do: str
    wrong: bool = True


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """`1 scan`, `2,000 scans`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


KINDS = {
    "empty-sequence": Kind("sequences without scans", "unpack their scans, or delete their folders"),
    "unlabelled-sequence": Kind("sequences without labels", "unpack their labels, or train on other sequences"),
    "unlabelled": Kind(
        "datasets without labels",
        "nothing, if you only predict; unpack the labels to train on it or to score",
        wrong=False,
    ),
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
    "far": Kind(
        f"scans with points beyond {FARTHEST_M:,.0f} m",
        "find out what wrote them, or their unit; they are left out of the figures above, not of a training",
    ),
    "odd-remission": Kind(
        f"scans with remission that is negative or above {LARGEST_REMISSION:,.0f}",
        "find out what wrote them, or their unit; it is left out of the figures above, not of a training",
    ),
    "split-leak": Kind(
        "scans with the same points as one in another split",
        "take them out of one of the two: what was trained on cannot be tested on",
    ),
    "origin": Kind("scans with points at the origin", "nothing: the canvas leaves these points out", wrong=False),
    "same-scan": Kind(
        "scans with the same points as an earlier one",
        "nothing, or delete them: they count twice in a training",
        wrong=False,
    ),
    "no-split": Kind("sequences that are in no split of the taxonomy", "name the splits in the study's YAML", False),
}


@dataclass(kw_only=True)
class Finding:
    """One kind of finding in one dataset; `detail` and `do` say more than its kind does, where there is more to say."""

    kind: str
    detail: str = ""
    do: str = ""
    count: int = 0
    points: int = 0
    first: list[dict[str, str]] = field(default_factory=list)
    """The first KEPT of them: {"path", "found"}."""

    @property
    def wrong(self) -> bool:
        """Whether it makes the check fail."""
        return KINDS[self.kind].wrong

    @property
    def next(self) -> str:
        """What to do."""
        return self.do or KINDS[self.kind].do


class Findings:
    """All findings in one dataset, in the order of KINDS."""

    def __init__(self) -> None:
        self._found: dict[str, Finding] = {}

    def add(self, kind: str, path: Path | str, found: str = "", *, points: int = 0) -> None:
        """Notes a file or sequence."""
        finding = self._found.setdefault(kind, Finding(kind=kind))
        finding.count += 1
        finding.points += points
        if len(finding.first) < KEPT:
            finding.first.append({"path": str(path), "found": found})

    def describe(self, kind: str, *, detail: str, do: str) -> None:
        """Says more of a kind, if it was found."""
        if kind in self._found:
            self._found[kind].detail, self._found[kind].do = detail, do

    def add_error(self, error: UserError, path: Path) -> None:
        """Notes a file that could not be read."""
        lines = [line.strip() for line in str(error).splitlines()]
        reason = next((line.removeprefix("found:").strip() for line in lines if line.startswith("found:")), "")
        self.add("unreadable", path, f"{error.what}: {reason}" if reason else error.what)

    def sorted(self) -> list[Finding]:
        """In the order of KINDS."""
        return [self._found[kind] for kind in KINDS if kind in self._found]
