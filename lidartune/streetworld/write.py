"""The world on disk: what is asked for, where it lies, and how it gets there whole or not at all."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from lidartune.errors import UserError
from lidartune.processes import Progress, in_processes
from lidartune.scans.files import write_labels, write_points
from lidartune.streetworld.domains import sensor_style, street_style
from lidartune.streetworld.kinds import SEMANTICKITTI_IDS, SYNLIDAR_IDS
from lidartune.streetworld.scene import make_street
from lidartune.streetworld.sensor import Scan, Scanner
from lidartune.streetworld.spec import DOMAINS, SPLITS, WORLD_VERSION, WorldSpec

_STALE_S = 24 * 3600.0


@dataclasses.dataclass(frozen=True)
class WorldFolder:
    """A world on disk: `synthetic/NN/{velodyne,labels}` and `real/sequences/NN/{velodyne,labels}`."""

    path: Path
    spec: WorldSpec

    @property
    def synthetic(self) -> Path:
        """Root of the synthetic domain, in SynLiDAR's layout and ids."""
        return self.path / "synthetic"

    @property
    def real(self) -> Path:
        """Root of the real domain, in SemanticKITTI's layout and ids."""
        return self.path / "real"

    @property
    def splits(self) -> dict[str, dict[str, list[int]]]:
        """As `WorldSpec.splits`."""
        return self.spec.splits


def ensure_world(
    spec: WorldSpec, cache_root: Path | str | None = None, processes: int | None = None, progress: Progress = True
) -> WorldFolder:
    """The world of a spec from the cache; made first where it is not there, whole, yet.

    Args:
        cache_root: folder that holds worlds by digest; default `$XDG_CACHE_HOME/lidartune/worlds`.
        processes: how many make streets at once; default one per available core.
        progress: a bar on a terminal, none, or a function called with (streets done, streets in all).
    """
    found = cached_world(spec, cache_root)
    if found is not None:
        return found
    root = Path(cache_root) if cache_root is not None else _default_cache()
    folder = root / spec.digest
    _sweep(root)
    if folder.exists():  # damaged: out of the way first, so that nobody reads it while it goes
        broken = _temporary(folder)
        os.replace(folder, broken)
        shutil.rmtree(broken, ignore_errors=True)
    return write_world(spec, folder, processes=processes, progress=progress)


def cached_world(spec: WorldSpec, cache_root: Path | str | None = None) -> WorldFolder | None:
    """The world of a spec if the cache holds it whole, else None. Arguments as `ensure_world`'s."""
    root = Path(cache_root) if cache_root is not None else _default_cache()
    found = read_world(root / spec.digest)
    return found if found is not None and found.spec == spec else None


def write_world(
    spec: WorldSpec, folder: Path | str, *, processes: int | None = None, progress: Progress = True
) -> WorldFolder:
    """Makes a world in a new or empty folder. The bytes depend on the spec alone, not on the number of processes.

    All is written beside the folder under a temporary name and renamed at the end; an interrupted call leaves no
    folder, and of several at once the first one done wins.

    Raises:
        UserError: the folder holds something else, or cannot be written.
    """
    folder = Path(folder).absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        found = read_world(folder)
        if found is not None and found.spec == spec:
            return found
        raise UserError(
            "the world cannot be written into a folder that is in use",
            where=folder,
            found="another world" if found else "other files",
            wanted="a new or an empty folder",
            do="name another folder, or delete this one",
        )
    work = _temporary(folder)
    try:
        work.mkdir(parents=True)
        _make_streets(spec, work, processes, progress)
        description = {
            "world_version": WORLD_VERSION,
            "digest": spec.digest,
            "spec": dataclasses.asdict(spec),
            "splits": spec.splits,
            "files": {str(p.relative_to(work)): p.stat().st_size for p in sorted(work.rglob("*")) if p.is_file()},
        }
        (work / "world.json").write_text(json.dumps(description, indent=1) + "\n")
        try:
            os.replace(work, folder)
        except OSError:
            found = read_world(folder)
            if found is None or found.spec != spec:
                raise
            return found
        return WorldFolder(folder, spec)
    except OSError as error:
        raise UserError(
            "the street world cannot be written",
            where=folder,
            found=error.strerror,
            do="name a folder of your own, or set XDG_CACHE_HOME to one for the worlds that studies make",
        ) from None
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _default_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "lidartune" / "worlds"


def _temporary(folder: Path) -> Path:
    return folder.parent / f".{folder.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp"


def _sweep(root: Path) -> None:
    """Deletes what makers that were killed more than a day ago have left in the cache."""
    for left in root.glob(".*.tmp"):
        try:
            if time.time() - left.stat().st_mtime > _STALE_S:
                shutil.rmtree(left, ignore_errors=True)
        except OSError:  # gone meanwhile
            continue


def read_world(folder: Path) -> WorldFolder | None:
    """The world in a folder, if it is whole: described, of this version, every file there in its size."""
    try:
        description = json.loads((folder / "world.json").read_text())
        spec = WorldSpec(**description["spec"])
        if description["world_version"] != WORLD_VERSION or description["digest"] != spec.digest:
            return None
        if all((folder / name).stat().st_size == size for name, size in description["files"].items()):
            return WorldFolder(folder, spec)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, UserError):
        pass
    return None


def _make_streets(spec: WorldSpec, root: Path, processes: int | None, progress: Progress) -> None:
    jobs = [(domain, n) for domain in DOMAINS for split in SPLITS for n in spec.splits[domain][split]]
    for _ in in_processes(
        partial(_write_street, spec, root), jobs, processes=processes, progress=progress, title="street world"
    ):
        pass


def _write_street(spec: WorldSpec, root: Path, street: tuple[str, int]) -> None:
    write_sequence(spec, root, *street)


def make_sequence(spec: WorldSpec, domain: str, number: int) -> Iterator[Scan]:
    """The scans of one street. Random numbers follow from (seed, domain, sequence) alone."""
    rng = np.random.default_rng([spec.seed, DOMAINS.index(domain), number])
    street = make_street(rng, street_style(domain, spec.geometry_gap), spec.scans_per_sequence)
    scanner = Scanner(street, sensor_style(domain, spec.sensor_gap), spec.beams, spec.columns)
    for station in range(spec.scans_per_sequence):
        yield scanner.scan(rng, station)


def write_sequence(spec: WorldSpec, root: Path, domain: str, number: int) -> None:
    """One street's scans as files, in its dataset's layout and label ids."""
    folder = root / domain / ("sequences" if domain == "real" else "") / f"{number:02d}"
    for part in ("velodyne", "labels"):
        (folder / part).mkdir(parents=True)
    ids = SEMANTICKITTI_IDS if domain == "real" else SYNLIDAR_IDS
    for index, scan in enumerate(make_sequence(spec, domain, number)):
        instance = scan.instance if domain == "real" else None  # SynLiDAR has none
        write_points(folder / "velodyne" / f"{index:06d}.bin", scan.points)
        write_labels(folder / "labels" / f"{index:06d}.label", ids[scan.kind], instance)
