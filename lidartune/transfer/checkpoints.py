"""The imported networks that a study starts from, in place of a pretraining of its own."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from lidartune.backbones.names import STRIDES
from lidartune.config import StudyConfig
from lidartune.errors import UserError
from lidartune.runs.folder import read_run, split_run
from lidartune.runs.imported import adopt, own_taxonomy
from lidartune.runs.spec import NetworkForm, RunSpec
from lidartune.runs.store import Store


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """An imported network, and the results folder that holds it."""

    results: str
    run: str
    spec: RunSpec

    def bring(self, store: Store, adopted: RunSpec) -> None:
        """Copies it into a study's store as the run that `Plan.adopted` says."""
        adopt(store, adopted, Store(self.results), self.run)

    @property
    def note(self) -> str:
        """What the reader of every table must know."""
        assert self.spec.imported is not None
        canvas, form = self.spec.canvas, self.spec.network
        parts = [f"take {', '.join(form.inputs)}"] if form.inputs != NetworkForm().inputs else []
        parts += [f"have output stride {form.output_stride}"] if form.output_stride else []
        parts += ["have a CRF"] if form.crf else []
        network = f"; all runs of {self.spec.backbone} here {' and '.join(parts)}, as it does" if parts else ""
        return (
            f"checkpoint of {self.spec.backbone}: {self.run} (weights {self.spec.imported.weights[:12]}), imported, "
            f"trained elsewhere on a canvas of {canvas.height} x {canvas.width} for an unknown number of updates; one "
            f"network for all seeds{network}"
        )


def read_checkpoints(config: StudyConfig) -> dict[str, Checkpoint]:
    """The study's checkpoints by backbone.

    Raises:
        UserError: one that is not there, was not imported, is another network than the study trains or states, has
            other classes, or counts as trained on real scans.
    """
    return {backbone: _read(config, backbone, folder) for backbone, folder in config.checkpoints.items()}


def _read(config: StudyConfig, backbone: str, folder: str) -> Checkpoint:
    where = f"checkpoints.{backbone}"
    results, run = split_run(folder)
    store = Store(results)
    spec = read_run(store, run)
    if spec.imported is None or not store.has(run, 0, "state"):
        raise UserError(
            "a study starts from imported networks only: its own pretrainings it shares by themselves",
            where=where,
            found=f"{folder}, which was trained here" if spec.imported is None else f"{folder}, which has no weights",
            wanted="what `lidartune import-bonnetal` wrote",
            do="import a model folder, or name epochs in grid.pretrain_epochs",
        )
    channels = config.channels_by_backbone.get(backbone, config.channels)
    if (spec.backbone, spec.channels) != (backbone, channels):
        raise UserError(
            "this checkpoint is another network than the study trains",
            where=where,
            found=f"{spec.backbone} with channels {spec.channels:g}",
            wanted=f"{backbone} with channels {channels:g}",
            do=f"set channels_by_backbone.{spec.backbone}={spec.channels:g}"
            if spec.backbone == backbone
            else f"name it as checkpoints.{spec.backbone}",
        )
    _check_network(config, spec, where)
    if spec.domain != "synthetic":
        raise UserError(
            "this checkpoint counts as trained on real scans, which a pretraining on synthetic ones cannot be",
            where=where,
            found=folder,
            do="where its scans take the place of the synthetic ones, import it again with --domain synthetic",
        )
    taxonomy = own_taxonomy(store, run)
    if not taxonomy.is_common:
        raise UserError(
            "a study compares the 19 common classes, and this checkpoint has others",
            where=where,
            found=f"{taxonomy.num_classes} classes, 0 included: {', '.join(taxonomy.names[:5])}, ...",
            do="predict with it by `lidartune predict`, and score that by `lidartune evaluate`",
        )
    return Checkpoint(results=results, run=run, spec=spec)


def _check_network(config: StudyConfig, spec: RunSpec, where: str) -> None:
    """Refuses a checkpoint that is not what the study states of its networks; what it does not state is free."""
    stated, own = config.network_for(spec.backbone), spec.network
    other = [key for key in config.network.stated() if getattr(own, key) != getattr(stated, key)]
    if other:
        raise UserError(
            "this checkpoint is another network than the study states",
            where=where,
            found=_form(own, spec.backbone, other),
            wanted=_form(stated, spec.backbone, other) + ", as the study's `network` says",
            do=f"leave {' and '.join(other)} out of `network`: all runs of {spec.backbone} then are as the checkpoint",
        )


def _form(form: NetworkForm, backbone: str, keys: list[str]) -> str:
    """Some of a network's values as a study states them."""
    values = asdict(form) | {"output_stride": form.output_stride or STRIDES[backbone], "inputs": list(form.inputs)}
    return ", ".join(f"{key}: {json.dumps(values[key])}" for key in keys)
