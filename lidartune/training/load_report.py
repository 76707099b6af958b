"""What a run has taken over from the milestone that it starts from: every tensor placed, or named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

PART_OF = {"backbone": "encoder", "decoder": "decoder", "head": "head", "CRF": "crf"}
"""The parts of a network by how the names of their tensors begin."""


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """The beginning of a run that starts from a milestone; `load.json` beside the metrics of its epoch 0.

    Attributes:
        run, epoch, file, sha256: the milestone, which of its files was handed on, and that file's SHA-256.
        placed, reinitialized: how many tensors, buffers too, of each part of the network came from there, and how many
            were drawn anew; `why` says the reason, by part.
        optimizer: `fresh`, or `kept`; then `optimizer_kept` counts the parameters with a memory from the milestone and
            `optimizer_fresh` names those without, which the milestone's run has not trained.
        normalization: `carried`, `own`, or of an adapted network the `target`'s.
        behind: updates that the learning rate's schedule has behind it at this run's first update.
    """

    run: str
    epoch: int
    file: str
    sha256: str
    placed: Mapping[str, int]
    reinitialized: Mapping[str, int]
    why: Mapping[str, str]
    optimizer: str
    optimizer_kept: int
    optimizer_fresh: tuple[str, ...]
    normalization: str
    behind: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def origin(self) -> str:
        """The milestone."""
        return f"starts from {self.run}, epoch {self.epoch} (weights {self.sha256[:12]})"

    def told(self) -> str:
        """What came over from there; alike for runs of one kind."""
        parts = ", ".join(f"{part} {count}" for part, count in self.placed.items() if count)
        said = [f"{sum(self.placed.values())} tensors placed ({parts})"]
        said += [f"{self.reinitialized[part]} of the {part} drawn anew ({why})" for part, why in self.why.items()]
        if self.optimizer == "kept":
            rest = f", {len(self.optimizer_fresh)} begin without" if self.optimizer_fresh else ""
            said.append(f"optimiser kept for {self.optimizer_kept} parameters{rest}")
        else:
            said.append("optimiser fresh")
        said += [f"{self.normalization} normalisation"] if self.normalization != "carried" else []
        said += [f"learning rate goes on at update {self.behind:,}"] if self.behind else []
        return ", ".join(said)


def parts_of(names: Iterable[str]) -> dict[str, int]:
    """How many of these tensors each part of a network has, in the network's order."""
    counts = dict.fromkeys(PART_OF.values(), 0)
    for name in names:
        counts[PART_OF[name.partition(".")[0]]] += 1
    return counts
