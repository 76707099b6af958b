"""A run by its folder `results/runs/<name>`: where it lies, and what it is."""

from __future__ import annotations

import os

from lidartune.errors import UserError
from lidartune.runs.spec import RunSpec
from lidartune.runs.store import Store


def split_run(run_folder: str) -> tuple[str, str]:
    """The results root and the run's name of `results/runs/<name>-<id>`; UserError for a folder elsewhere."""
    place = absolute(run_folder)
    parent, _, run = place.rpartition("/")
    results, _, folder = parent.rpartition("/")
    if folder != "runs" or not run:
        raise UserError(
            "this is no run's folder",
            where=run_folder,
            wanted="a folder results/runs/<name>-<id>",
            do="give one of the folders in results/runs",
        )
    return results or "/", run


def absolute(folder: str) -> str:
    """A folder or a URI without a slash at its end; a folder of this machine from the root on."""
    place = folder.rstrip("/") or "/"
    return place if "://" in place else os.path.abspath(os.path.expanduser(place))


def read_run(store: Store, run: str) -> RunSpec:
    """What a run in the store is. Raises UserError where there is none, or its record cannot be read."""
    values = store.read_spec(run)
    try:
        return RunSpec.from_dict(values)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            "this run's record cannot be read",
            where=f"{store.results}/runs/{run}/spec.json",
            found=" ".join(str(error).split()),
            do="it is damaged, or of another version of lidartune: use that version, or run the study again",
        ) from None
