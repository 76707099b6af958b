"""The scans of a study: two domains, split by sequence, the same on every machine that holds the datasets."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from lidartune.canvas import Sensor, project
from lidartune.config import CanvasConfig, Splits, StudyConfig, check_splits
from lidartune.errors import UserError, nearest
from lidartune.runs.spec import DOMAINS, UNLABELLED, Domain
from lidartune.scans import Dataset, ScanFile, check_scan, fingerprint, open_dataset, read_labels, spread
from lidartune.scans.splits import labelled_subset, scans_in
from lidartune.training.unlabelled import unlabelled

if TYPE_CHECKING:
    from lidartune.streetworld import WorldSpec

LABELS_READ_FIRST = 200
RINGS_TRIED = 4
WORLD_MISSING = "the street world is not made yet"


@dataclass(frozen=True, kw_only=True)
class DomainData:
    """One domain: its dataset and the scans that are trained on, watched and reported."""

    dataset: Dataset
    splits: Splits
    train: Sequence[ScanFile]
    validation: Sequence[ScanFile]
    test: Sequence[ScanFile]
    test_available: int
    notes: tuple[str, ...] = ()

    def training_scans(self, count: int | Literal["all"], seed: int) -> Sequence[ScanFile]:
        """All training scans, or the `count` that the seed draws."""
        return self.train if count == "all" else labelled_subset(self.train, count, seed)


@dataclass(frozen=True, kw_only=True)
class StudyData:
    """Both domains, and the fingerprints by which runs name what they were scored on."""

    domains: Mapping[Domain, DomainData]
    validation: Mapping[str, str]
    test: Mapping[str, str]
    taxonomies: Mapping[str, str]
    _train: dict[tuple[Domain, int | str, int], str] = dataclasses.field(default_factory=dict)

    def train_fingerprint(self, domain: Domain, count: int | Literal["all"], seed: int) -> str:
        """Fingerprint of a run's training scans; taken once."""
        key = (domain, count, 0 if count == "all" else seed)
        if key not in self._train:
            self._train[key] = fingerprint(self.domains[domain].training_scans(count, seed))
        return self._train[key]

    def other_fingerprint(self, domain: Domain, *, labelled: bool) -> str:
        """Fingerprint of all training scans of a domain, for runs on the other one that see them too; taken once.

        Args:
            labelled: False takes it of the points alone, so that labels, which such a run never reads, change nothing.
        """
        if labelled:
            return self.train_fingerprint(domain, "all", 0)
        key = (domain, UNLABELLED, 0)
        if key not in self._train:
            self._train[key] = UNLABELLED + fingerprint(unlabelled(self.domains[domain].train))
        return self._train[key]

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(note for domain in DOMAINS for note in self.domains[domain].notes)


def open_study_data(config: StudyConfig) -> StudyData:
    """Opens the study's two domains; one without a folder comes from the built-in street world, made where missing.

    Raises:
        UserError: a folder without scans, splits that overlap or name a sequence that is not there, more labelled
            scans asked for than there are.
    """
    domains = {domain: _open_domain(domain, config) for domain in DOMAINS}
    available = len(domains["real"].train)
    for count in config.grid.labelled_scans:
        if isinstance(count, int) and count > available:
            raise UserError(
                "more labelled scans than the real training split holds",
                where="grid.labelled_scans",
                found=count,
                wanted=f"at most {available}, or all",
            )
    notes = domains["real"].notes + _labelled_note(config, available)
    domains["real"] = dataclasses.replace(domains["real"], notes=notes)
    return StudyData(
        domains=domains,
        validation={domain: fingerprint(data.validation) for domain, data in domains.items()},
        test={domain: fingerprint(data.test) for domain, data in domains.items()},
        taxonomies={domain: data.dataset.taxonomy.digest for domain, data in domains.items()},
    )


def labelled_counts(stated: Sequence[int | str], available: int) -> dict[int | str, int | Literal["all"]]:
    """The numbers of scans that are meant by the values of `grid.labelled_scans`, of so many training scans.

    Whatever means all of them is "all": the number itself, too.
    """
    counts: dict[int | str, int | Literal["all"]] = {}
    for value in stated:
        count = available if value == "all" else scans_in(value, available) if isinstance(value, str) else value
        counts[value] = "all" if count == available else count
    return counts


def with_counts(config: StudyConfig, data: StudyData) -> StudyConfig:
    """The study with its shares of labelled scans as numbers of scans; equal ones are one value of the axis."""
    counts = labelled_counts(config.grid.labelled_scans, len(data.domains["real"].train))
    grid = dataclasses.replace(config.grid, labelled_scans=tuple(dict.fromkeys(counts.values())))
    return dataclasses.replace(config, grid=grid)


def labelled_record(config: StudyConfig, data: StudyData) -> list[dict[str, Any]]:
    """Which real training scans are drawn, for each number of labelled scans (but `all`) and each seed.

    `labelled_scans` is the number, `stated` what the study calls it, `scans` lists `sequence/name` in file order.
    """
    real = data.domains["real"]
    counts = labelled_counts(config.grid.labelled_scans, len(real.train))
    return [
        {
            "labelled_scans": count,
            "stated": [value for value, meant in counts.items() if meant == count],
            "seed": seed,
            "scans": [f"{scan.sequence}/{scan.name}" for scan in real.training_scans(count, seed)],
        }
        for count in dict.fromkeys(counts.values())
        if count != "all"
        for seed in config.grid.seed
    ]


def _labelled_note(config: StudyConfig, available: int) -> tuple[str, ...]:
    """What the study's labelled scans are, where they are not called what they are: shares, and the number of all."""
    counts = labelled_counts(config.grid.labelled_scans, available)
    shares = {value: count for value, count in counts.items() if value != count}
    if not shares:
        return ()
    said = ", ".join(f"{value} = {count if count == 'all' else f'{count:,}'}" for value, count in shares.items())
    merged = "; equal numbers are one cell" if len(set(counts.values())) < len(counts) else ""
    return (f"labelled real scans: {said} of {available:,}{merged}",)


def _open_domain(domain: Domain, config: StudyConfig) -> DomainData:
    wanted = config.domains[domain]
    notes: tuple[str, ...] = ()
    if wanted.root is None:
        dataset, splits = _from_world(domain, config)
    else:
        dataset = open_dataset(wanted.root, wanted.taxonomy)
        if wanted.splits is None:
            splits, notes = _derived_splits(domain, dataset)
        else:
            splits = wanted.splits
    dataset.taxonomy.require_common(f"domains.{domain}.taxonomy")
    scoring = config.scoring
    train = dataset.scans(splits.train, labelled=True)
    validation = spread(dataset.scans(splits.validation, labelled=True), scoring.validation_scans)
    test = dataset.scans(splits.test, labelled=True)
    return DomainData(
        dataset=dataset,
        splits=splits,
        train=train,
        validation=validation,
        test=spread(test, scoring.test_scans),
        test_available=len(test),
        notes=notes,
    )


def check_scans(data: StudyData) -> None:
    """Looks at every scan's file sizes and reads labels of each split (all of small ones), before anything is trained.

    Raises:
        UserError: a file that is missing or cut short, labels that do not fit the points or the taxonomy.
    """
    for domain in data.domains.values():
        for scans in (domain.train, domain.validation, domain.test):
            for scan in scans:
                assert scan.labels is not None
                check_scan(scan.points, scan.labels)
            for scan in spread(scans, LABELS_READ_FIRST):
                assert scan.labels is not None
                domain.dataset.taxonomy.to_common(read_labels(scan.labels), where=scan.labels)


def check_rings(data: StudyData, canvas: CanvasConfig) -> None:
    """Projects a few scans of each split where the canvas has a row for each ring.

    Raises:
        UserError: naming the file that has no such rings.
    """
    if canvas.rows != "ring":
        return
    sensor = Sensor(canvas.height, 32, canvas.fov_up_deg, canvas.fov_down_deg, canvas.rows)
    for domain in data.domains.values():
        for scan in (s for scans in (domain.train, domain.validation, domain.test) for s in spread(scans, RINGS_TRIED)):
            try:
                project(scan.read()[0], sensor)
            except UserError as error:
                raise UserError(
                    "canvas.rows is ring, but this scan has no such rings",
                    where=scan.points,
                    found=error.what,
                    do="set canvas.rows=elevation, or canvas.height to its number of rings (`lidartune check` tells)",
                ) from None


def what_is_missing(config: StudyConfig) -> str | None:
    """Why the study's scans are not on this machine yet, or None: a plan can be made without them."""
    from lidartune.streetworld import cached_world

    for domain in DOMAINS:
        wanted = config.domains[domain]
        if wanted.root is None and wanted.splits is not None:
            return f"no folder is given for the {domain} dataset (--{domain} DIR)"
        if wanted.root is None and cached_world(_world_spec(config)) is None:
            return WORLD_MISSING
    return None


def _world_spec(config: StudyConfig) -> WorldSpec:
    from lidartune.streetworld import WorldSpec  # loads Embree, which given datasets do not need

    known = [field.name for field in dataclasses.fields(WorldSpec)]
    for key in config.world:
        if key not in known:
            raise UserError("unknown key", where="world", found=key, do=nearest(key, known))
    return WorldSpec(**config.world)


def _from_world(domain: Domain, config: StudyConfig) -> tuple[Dataset, Splits]:
    from lidartune.streetworld import ensure_world

    if config.domains[domain].splits is not None:
        raise UserError(
            f"the study names splits of a {domain} dataset, but not its folder",
            where=f"domains.{domain}",
            do=f"give --{domain} DIR; without splits and folder the built-in street world is taken",
        )
    world = ensure_world(_world_spec(config))
    root = {"synthetic": world.synthetic, "real": world.real}[domain]
    taxonomy = config.domains[domain].taxonomy
    splits = {name: tuple(f"{number:02d}" for number in numbers) for name, numbers in world.splits[domain].items()}
    return open_dataset(root, taxonomy), Splits(**splits)


def _derived_splits(domain: Domain, dataset: Dataset) -> tuple[Splits, tuple[str, ...]]:
    """Splits where the study names none: the taxonomy's published ones, as far as the folder has labels for them.

    The published validation sequences are what is reported; the last training sequence is held out for choosing.
    """
    where = f"domains.{domain}.splits"
    labelled = [n for n in dataset.sequences if dataset.has_labels(n)]
    published = dataset.taxonomy.split
    train = [n for n in published.get("train", ()) if n in labelled]
    test = [n for n in published.get("valid", ()) if n in labelled]
    if not train or not test:
        raise UserError(
            "the study names no splits for this dataset, and its taxonomy none that would fit",
            where=dataset.root,
            found=f"labelled sequences {', '.join(f'{n:02d}' for n in labelled) or 'none'}",
            wanted=f"{where} with train, validation and test sequences",
            do=f"for example --set {where}='{{train: [0, 1], validation: [2], test: [3]}}'",
        )
    if len(train) > 1:
        held_out = [train.pop()]
        note = f"{domain}: splits derived from the taxonomy: sequence {held_out[0]:02d} held out for validation"
    else:
        held_out = test
        note = f"{domain}: SMOKE TEST, too few sequences to hold one out: validation and test are the same scans"
    splits = Splits(
        train=tuple(map(str, train)), validation=tuple(map(str, held_out)), test=tuple(map(str, test))
    )
    check_splits(splits, where, choosing=held_out is not test)
    scored = len(dataset.scans(splits.test))
    few = (f"{domain}: few test scans ({scored}): figures on them say little",) if scored < 8 else ()
    return splits, (note, *few)
