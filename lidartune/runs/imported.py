"""Networks that were trained elsewhere: put into the store as runs of one epoch, 0, with all that belongs to them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import yaml

from lidartune.backbones.names import STRIDES
from lidartune.errors import UserError
from lidartune.runs.folder import absolute, read_run
from lidartune.runs.spec import Domain, Imported, NetworkForm, RunSpec
from lidartune.runs.store import Store
from lidartune.scans import Taxonomy, built_in_taxonomies, load_taxonomy
from lidartune.scans.taxonomy import parse_taxonomy
from lidartune.training.recipe import Recipe

if TYPE_CHECKING:
    from lidartune.backbones.bonnetal_config import BonnetalConfig
    from lidartune.backbones.network import Network

WEIGHTS, FACTS, TAXONOMY = "weights.safetensors", "state.json", "taxonomy.yaml"


# -- into the store --------------------------------------------------------------------------------------------------


def describe(network: Network, weights: bytes, domain: Domain) -> RunSpec:
    """What an imported network is, as a run.

    Args:
        network: with its `configuration`.
        weights: its tensors, as they are stored.
        domain: on which of a study's domains it counts as trained.

    Raises:
        UserError: its canvas is not as wide as the network needs it.
    """
    config, options = network.configuration, network.options
    assert config is not None, "the network was read from a model folder"
    if config.sensor.width % network.stride:
        raise UserError(
            "the network cannot take the canvas that its folder states",
            where="dataset.sensor.img_prop.width",
            found=config.sensor.width,
            wanted=f"a multiple of {network.stride}",
            do="take the arch_cfg.yaml that the model was trained with",
        )
    published = network.stride == STRIDES[options.name]
    return RunSpec(
        domain=domain,
        start=None,
        backbone=options.name,
        channels=options.channels,
        canvas=config.sensor,
        recipe=Recipe(),
        freeze="none",
        labelled_scans="all",
        seed=0,
        train="imported",
        validation={},
        test={},
        block=1,
        taxonomies={domain: config.taxonomy.digest},
        network=NetworkForm(
            num_classes=options.num_classes,
            inputs=options.inputs,
            output_stride=None if published else network.stride,
            circular=options.circular,
            crf=options.crf,
        ),
        imported=Imported(
            weights=hashlib.sha256(weights).hexdigest(),
            means=tuple(map(float, config.means)),
            stds=tuple(map(float, config.stds)),
        ),
    )


def put_in(network: Network, weights: bytes, spec: RunSpec, store: Store, run: str) -> bool:
    """Commits the network as epoch 0 of `run`; False where it is there already.

    Raises:
        UserError: another run has this name, or the store cannot be written. Then nothing is left behind.
    """
    config = network.configuration
    assert config is not None and spec.imported is not None
    facts = _facts(spec.imported) | {"origin": _origin(config)}
    files = {WEIGHTS: weights, FACTS: _json(facts), TAXONOMY: taxonomy_text(config.taxonomy).encode()}
    fresh = False
    try:
        if store.has_spec(run) or store.has(run, 0, "state"):
            _check_same(store, run, spec)
            if store.has(run, 0, "state"):
                return False
        fresh = run not in store.runs()
        store.write_spec(run, spec.as_dict())
        store.commit(run, 0, "state", files)
    except BaseException as error:
        if fresh:
            with suppress(OSError):
                store.forget(run)
        if isinstance(error, OSError):
            raise UserError(
                "the network cannot be written into the store",
                where=f"{store.results}/runs/{run}",
                found=error.strerror or error,
                do="name a folder that can be written, with room for the weights",
            ) from None
        raise
    return True


def _check_same(store: Store, run: str, spec: RunSpec) -> None:
    if not store.has_spec(run) or read_run(store, run) != spec:
        raise UserError(
            "there is another run of this name",
            where=f"{store.results}/runs/{run}",
            do="give -o another name, or the results folder alone",
        )


def _origin(config: BonnetalConfig) -> dict[str, Any]:
    """What else the model folder said: of use to people only."""
    dropout = {"encoder": config.options.dropout, "decoder": config.decoder_dropout, "head": config.head_dropout}
    return {"software": "lidar-bonnetal", "recipe": asdict(config.recipe), "dropout": dropout}


def default_name(spec: RunSpec) -> str:
    """The name of an imported network that the user gave none: backbone, width of its canvas, digest of all of it."""
    return f"imported-{spec.backbone}-{spec.canvas.width}-{spec.id}"


def place_for(output: str, spec: RunSpec) -> tuple[str, str]:
    """The results root and the name that `-o` asks for: a run's folder, `runs` of a results folder, or that folder."""
    place = absolute(output)
    parent, _, last = place.rpartition("/")
    if last == "runs":
        return parent or "/", default_name(spec)
    if parent.rpartition("/")[2] == "runs" and last:
        return parent.rpartition("/")[0] or "/", last
    return place, default_name(spec)


# -- out of the store ------------------------------------------------------------------------------------------------


def own_taxonomy(store: Store, run: str) -> Taxonomy:
    """The taxonomy that came with an imported network, by its built-in name where it is one.

    Raises:
        UserError: it is damaged.
    """
    place = store.file(run, 0, "state", TAXONOMY)
    taxonomy = parse_taxonomy(store.read(run, 0, "state", TAXONOMY).decode(), name=place, where=place)
    for name in built_in_taxonomies():
        if (known := load_taxonomy(name)) == taxonomy and known.names == taxonomy.names:
            return known
    return taxonomy


def scored_in(spec: RunSpec, study_run: RunSpec) -> RunSpec:
    """The imported network as a run of a study: on the canvas, and scored on the scans, of `study_run`.

    It is the same for every seed and every recipe: nothing is trained, so nothing is drawn.
    """
    return dataclasses.replace(
        spec,
        canvas=study_run.canvas,
        validation=study_run.validation,
        test=study_run.test,
        block=study_run.block,
        taxonomies=study_run.taxonomies,
    )


def adopt(store: Store, adopted: RunSpec, source: Store, run: str) -> None:
    """Copies the imported network `run` of another store (or of this one) as the run that a study scores and starts
    from."""
    assert adopted.imported is not None
    if store.has(adopted.folder, 0, "state"):
        return
    weights = source.read(run, 0, "state", WEIGHTS)
    if hashlib.sha256(weights).hexdigest() != adopted.imported.weights:
        raise UserError(
            "the weights of this run are not those that it was imported with",
            where=f"{source.results}/runs/{run}",
            do="import the model folder again, under another name",
        )
    files = {name: source.read(run, 0, "state", name) for name in (FACTS, TAXONOMY)}
    store.write_spec(adopted.folder, adopted.as_dict())
    store.commit(adopted.folder, 0, "state", {WEIGHTS: weights, **files})


# -- files -----------------------------------------------------------------------------------------------------------


def taxonomy_text(taxonomy: Taxonomy) -> str:
    """A taxonomy as the YAML that `load_taxonomy` reads."""
    values: dict[str, Any] = {
        "labels": dict(taxonomy.labels),
        "color_map": {raw: list(color)[::-1] for raw, color in taxonomy.color_map.items()},  # blue first
        "content": dict(taxonomy.content),
        "learning_map": dict(taxonomy.learning_map),
        "learning_map_inv": dict(taxonomy.learning_map_inv),
        "learning_ignore": {number: number in taxonomy.ignore for number in range(taxonomy.num_classes)},
        "split": {part: list(numbers) for part, numbers in taxonomy.split.items()},
    }
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def _facts(imported: Imported) -> dict[str, Any]:
    return {"epoch": 0, "means": imported.means, "stds": imported.stds}


def _json(values: Any) -> bytes:
    return json.dumps(values, indent=1).encode()
