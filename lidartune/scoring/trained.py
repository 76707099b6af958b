"""A run's network as it was after an epoch, out of the store, ready to predict."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from lidartune.backbones.inference import Compiled, for_inference
from lidartune.backbones.network import Network
from lidartune.canvas import Canvas
from lidartune.errors import UserError
from lidartune.runs.folder import read_run, split_run
from lidartune.runs.imported import own_taxonomy
from lidartune.runs.spec import RunSpec
from lidartune.runs.store import Store
from lidartune.scans import Taxonomy, built_in_taxonomies, load_taxonomy
from lidartune.scoring.images import class_images
from lidartune.training.state import Normalization, new_model, place_weights, scored_file


@dataclass(frozen=True, kw_only=True)
class TrainedNetwork:
    """A network in evaluation mode, with the canvas (`spec.canvas`) and the normalisation that belong to its weights.

    `weights_sha256` tells apart what runs of one name in two stores have learnt. `own_taxonomy` is that of an imported
    network, None of one that was trained here.
    """

    run: str
    epoch: int
    spec: RunSpec
    model: Network | Compiled
    normalization: Normalization
    weights_sha256: str
    device: torch.device
    own_taxonomy: Taxonomy | None = None

    @property
    def num_classes(self) -> int:
        return self.model.options.num_classes

    def class_images(self, canvases: Sequence[Canvas]) -> np.ndarray:
        """Predicted classes `(B, H, W)` uint8, never 0."""
        return class_images(self.model, self.normalization, canvases, self.device)

    def at_speed(self, speed: Literal["exact", "fast", "compiled"], *, batch: int) -> TrainedNetwork:
        """The same network, made faster at the price of other roundings, for so many canvases at once at most."""
        if speed == "exact":
            return self
        assert isinstance(self.model, Network), "it is compiled already"
        if speed == "fast":
            return dataclasses.replace(self, model=for_inference(self.model))
        canvas = self.spec.canvas
        return dataclasses.replace(self, model=Compiled(self.model, batch, canvas.height, canvas.width))

    def taxonomy(self) -> Taxonomy:
        """An imported network's own taxonomy, else the built-in one of the domain that it was trained on last.

        Raises:
            UserError: the run used one that is not built in.
        """
        if self.own_taxonomy is not None:
            return self.own_taxonomy
        wanted = self.spec.taxonomies.get(self.spec.domain)
        for name in built_in_taxonomies():
            if (taxonomy := load_taxonomy(name)).digest == wanted:
                return taxonomy
        raise UserError(
            "this run was trained with a taxonomy that is not built in",
            where=self.run,
            found=f"label map {wanted}",
            wanted="the taxonomy whose raw ids are to be written",
            do="name it with --taxonomy",
        )

    def check_taxonomy(self, taxonomy: Taxonomy) -> None:
        """Raises UserError where the taxonomy's classes are not the network's."""
        if taxonomy.num_classes == self.num_classes and taxonomy.digest in self.spec.taxonomies.values():
            return
        if taxonomy.num_classes != self.num_classes:
            raise UserError(
                "this taxonomy has other classes than the network",
                where=taxonomy.name,
                found=f"{taxonomy.num_classes} classes, 0 included",
                wanted=f"{self.num_classes}, as {self.run} predicts",
                do="choose a taxonomy of these classes",
            )
        own = self.own_taxonomy
        if own is not None and not own.is_common:
            self._check_names(own, taxonomy)
        else:
            taxonomy.require_common("--taxonomy")

    def _check_names(self, own: Taxonomy, taxonomy: Taxonomy) -> None:
        """Raises UserError where the classes have other names than the imported network's own."""
        for number, (mine, its) in enumerate(zip(own.names, taxonomy.names, strict=True)):
            if mine != its:
                raise UserError(
                    "this taxonomy has other classes than the network",
                    where=taxonomy.name,
                    found=f"class {number} is {its!r}",
                    wanted=f"{mine!r}, as {self.run} predicts",
                    do="leave --taxonomy out: its own raw ids are written then",
                )


def load_trained(run_folder: str, epoch: int | None, device: torch.device) -> TrainedNetwork:
    """The network of a run in a results store.

    Args:
        run_folder: `results/runs/<name>-<id>`, a folder or a URI.
        epoch: one whose weights were kept; None takes the last of them.

    Raises:
        UserError: no such run or epoch, or what is stored is damaged.
    """
    results, run = split_run(run_folder)
    store = Store(results)
    where = f"{results}/runs/{run}"
    spec = read_run(store, run)
    kept = store.epochs(run, "state")
    if not kept or (epoch is not None and epoch not in kept):
        raise UserError(
            "no weights are kept of this run" if not kept else "no weights are kept of this epoch",
            where=where,
            found="no epoch" if not kept else f"epochs {', '.join(map(str, kept))}",
            wanted=f"epoch {epoch}" if epoch is not None else None,
            do="run its study (on)" if not kept else "choose one of these with --epoch",
        )
    chosen = kept[-1] if epoch is None else epoch
    weights = store.read(run, chosen, "state", scored_file(spec.recipe))
    normalization = _normalization(store.read(run, chosen, "state", "state.json"), f"{where}, epoch {chosen}")
    model = new_model(spec, device)
    place_weights(model, weights, f"{run}, epoch {chosen}")
    return TrainedNetwork(
        run=run,
        epoch=chosen,
        spec=spec,
        model=model.eval(),
        normalization=normalization,
        weights_sha256=hashlib.sha256(weights).hexdigest(),
        device=device,
        own_taxonomy=own_taxonomy(store, run) if spec.imported is not None else None,
    )


def _normalization(content: bytes, where: str) -> Normalization:
    try:
        facts = json.loads(content)
        means, stds = (tuple(float(v) for v in facts[name]) for name in ("means", "stds"))
    except (KeyError, TypeError, ValueError):
        raise UserError("the means and deviations of these weights cannot be read", where=where) from None
    return Normalization(means=means, stds=stds)
