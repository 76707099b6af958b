"""What differs between two studies: recipe, data, scoring, versions; and why a comparison may not be sound."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from lidartune.errors import UserError
from lidartune.report.compare.figures import Pair, Side, classes_of
from lidartune.report.groups import plain_reason
from lidartune.report.plain_text import plain_name
from lidartune.report.results import StudyResults, optional_json
from lidartune.report.scores import DOMAINS
from lidartune.scans.document import read_document

# Of study.yaml: what names the study, is matched setting by setting, says where it runs, or is a place.
_NOT_COMPARED = ("name", "grid", "search", "resources", "notes", "domains.synthetic.root", "domains.real.root")
_VERSIONS = ("lidartune", "semantics", "commit", "python", "packages")
_SHOWN_DIGITS = 12  # of a fingerprint
NOT_THERE = "not there"


def differences_table(pair: Pair) -> pd.DataFrame:
    """One row a thing that is not the same: `what`, and its value in either study, as text without folders."""
    told = [{**_recipe(side.results), **_recorded(side.results)} for side in pair.sides]
    rows = [
        {"study": pair.other.letter, "minus": pair.first.letter, "what": what}
        | {
            name: plain_reason(plain_name(of.get(what, NOT_THERE)))
            for name, of in zip(("first", "other"), told, strict=True)
        }
        for what in dict.fromkeys([*told[0], *told[1]])
        if told[0].get(what, NOT_THERE) != told[1].get(what, NOT_THERE)
    ]
    return pd.DataFrame(rows, columns=["study", "minus", "what", "first", "other"])


def warnings(pair: Pair) -> list[str]:
    """Why differences between the two may be of something else than what was to be compared."""
    return list(_warnings(pair))


def _warnings(pair: Pair) -> Iterator[str]:
    told = [_recorded(side.results) for side in pair.sides]
    names = f"{pair.first.letter} and {pair.other.letter}"
    for domain in DOMAINS:
        splits = [of.get(f"data.{domain}.test_fingerprint") for of in told]
        if None not in splits and splits[0] != splits[1]:
            yield (
                f"{names} are scored on other {domain} test scans: a difference of their scores is one of the scans as "
                "well, and says little about the networks alone."
            )
        elif None in splits and _truth(pair.first, domain) != _truth(pair.other, domain):
            yield f"{names} are scored on other {domain} test scans, by the points of each class in them."
        shared = pair.shared(domain)
        own = [classes_of(side.results, domain) for side in pair.sides]
        if own[0] and own[1] and not shared:
            yield f"The {domain} test splits of {names} have no class in common: no figure on {domain} is compared."
        elif own[0] != own[1] and shared:
            only = "; ".join(
                f"in {side.letter} only: {', '.join(name for name in mine if name not in shared)}"
                for side, mine in zip(pair.sides, own, strict=True)
                if set(mine) - set(shared)
            )
            yield (
                f"The {domain} test splits of {names} do not hold the same classes: means are over the {len(shared)} "
                f"that both hold, and not those of the studies' own tables ({only})."
            )
        digests = [of.get(f"data.{domain}.taxonomy_digest") for of in told]
        if None not in digests and digests[0] != digests[1]:
            yield f"The {domain} label maps differ: a class of one name may hold other objects."
    for what in ("updates_per_epoch", "finetune_epochs"):
        if told[0][what] != told[1][what]:
            values = f"{told[0][what]} in {pair.first.letter}, {told[1][what]} in {pair.other.letter}"
            yield f"Settings of one name are other budgets: {what.replace('_', ' ')} is {values}."
    scans = [side.results.real_scans for side in pair.sides]
    everything = any(cell.labelled_scans == "all" for side in pair.sides for cell in side.results.cells)
    if scans[0] != scans[1] and everything:
        counts = (f"{n or 'unknown'} in {side.letter}" for n, side in zip(scans, pair.sides, strict=True))
        yield f"How many all labelled real scans are: {', '.join(counts)}."
    if told[0].get("semantics") != told[1].get("semantics"):
        yield f"{names} come from versions that give other results for the same recipe (semantics)."


def _truth(side: Side, domain: str) -> list[int] | None:
    """How many points of each class the test split has, from the first score there is; None where there is none."""
    for cell in side.results.cells:
        for role in cell.roles.values():
            matrix = role.score.matrices.get(domain, {}).get("points") if role.score else None
            if matrix is not None:
                return [int(total) for total in matrix.sum(1)]
    return None


def _recipe(results: StudyResults) -> dict[str, Any]:
    """study.yaml as `a.b` -> value; {} where there is none that can be read."""
    path = results.folder / "study.yaml"
    try:
        found = read_document(path, "this study") if path.is_file() else {}
    except UserError:
        found = {}
    flat = dict(_flat(found, ""))
    return {
        key: value for key, value in flat.items() if not any(key == p or key.startswith(f"{p}.") for p in _NOT_COMPARED)
    }


def _recorded(results: StudyResults) -> dict[str, Any]:
    """What the manifest says of versions and data, and the plan of budgets."""
    manifest = optional_json(results.folder / "manifest.json")
    found = {"updates_per_epoch": results.updates_per_epoch, "finetune_epochs": results.finetune_epochs}
    found |= dict(_flat({name: manifest[name] for name in _VERSIONS if name in manifest}, ""))
    domains = manifest.get("domains")
    for domain in DOMAINS:
        data = domains.get(domain) if isinstance(domains, dict) else None
        if isinstance(data, dict):
            kept = {name: value for name, value in data.items() if name != "root"}
            found |= {key: _short(key, value) for key, value in _flat(kept, f"data.{domain}.")}
    return found


def _short(key: str, value: Any) -> Any:
    return value[:_SHOWN_DIGITS] if isinstance(value, str) and key.endswith(("fingerprint", "digest")) else value


def _flat(value: object, before: str) -> Iterator[tuple[str, Any]]:
    """The leaves of dictionaries inside each other; lists are leaves."""
    if not isinstance(value, dict):
        return
    for key, inside in value.items():
        name = f"{before}{plain_name(key)}"
        if isinstance(inside, dict):
            yield from _flat(inside, f"{name}.")
        elif inside is not None and inside != []:  # as good as not there
            yield name, inside
