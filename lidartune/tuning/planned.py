"""What a study would do and what it would cost: printed at once, without Ray, torch or the datasets."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from lidartune.config import StudyConfig
from lidartune.processes import duration
from lidartune.transfer.data import open_study_data, what_is_missing
from lidartune.tuning.cluster import on_machine, trials_on_a_gpu
from lidartune.tuning.disk import bytes_of, study_bytes
from lidartune.tuning.footprint import fitting, gpu_bytes, trial_bytes
from lidartune.tuning.hours import forecast, seconds_of
from lidartune.tuning.left import epochs
from lidartune.tuning.machine import gpus_here, resources_here
from lidartune.tuning.pace import kind_of
from lidartune.tuning.place import open_place
from lidartune.tuning.points import Points
from lidartune.tuning.search_cost import search_left
from lidartune.tuning.study import Study, describe, open_study, replaced

GIB = 2**30
KINDS_NAMED = 2


def show_plan(config: StudyConfig, *, results: str | Path, console: Console) -> None:
    """Prints what the study would do: cells, exclusions, what is in the store, updates and cost. Starts nothing."""
    missing = what_is_missing(config)
    place = open_place(results, config.name)
    study = open_study(config, place.seen(), open_study_data(config) if missing is None else None, place.store)
    console.print(*describe(study), *replaced(study), *cost(study), sep="\n", highlight=False, soft_wrap=True)
    if missing:
        console.print(
            f"  planned from the YAML alone, as if nothing were done: {missing}", highlight=False, soft_wrap=True
        )


def cost(study: Study) -> list[str]:
    """Time, disk and memory that the rest of the study takes, a line each; none where nothing is left of it."""
    resources = study.config.resources
    needed = trial_bytes(study.specs, resources, study.data)
    here = resources_here(gpus=resources.gpus_per_trial > 0)
    slots = on_machine(here, resources, needed)
    slots = min(slots, resources.trials_at_once or slots)
    lines = _of_grid(study, slots) if study.config.search.sampler == "grid" else _of_search(study, slots)
    return [*lines, f"  memory: {_memory(study, needed, here)}"] if lines else []


def _of_grid(study: Study, slots: int) -> list[str]:
    if not study.schedule.anything_open():
        return []
    disk = f"  disk: about {_size(study_bytes(study.plan, study.schedule.is_there, study.data))} more"
    unknown = {str(kind_of(spec)) for spec in study.specs if study.pace.seconds(spec) is None}
    if unknown:
        return [f"  time: {_unknown(unknown)}", disk]
    found = forecast(study.plan, study.schedule.is_there, study.pace, max(1, slots))
    took, more = f"about {duration(found.makespan)}", f"the longest chain {duration(found.longest_chain)}"
    return [f"  time: {_on_slots(study, slots, took, more, found.work)}", disk]


def _of_search(study: Study, slots: int) -> list[str]:
    """Upper bounds: nobody knows what will be drawn, and what asha will stop."""
    points, updates = Points(study), study.plan.updates_per_epoch
    left = int(search_left(study, points, epochs).work)
    unknown: set[str] = set()
    seconds = search_left(study, points, seconds_of(study.pace, unknown))
    size = search_left(study, points, bytes_of(study.config, study.data)).work
    if not size:
        return []
    took = f"at most about {duration(seconds.makespan(max(1, slots)))}"
    more = "with references and what is judged"
    return [
        f"  left: at most {left:,} epochs = {left * updates:,} updates, {more}",
        f"  time: {_unknown(unknown) if unknown else _on_slots(study, slots, took, '', seconds.work)}",
        f"  disk: at most about {_size(size)} more",
    ]


def _unknown(kinds: set[str]) -> str:
    more = f" and {len(kinds) - KINDS_NAMED} more" if len(kinds) > KINDS_NAMED else ""
    named = ", ".join(sorted(kinds)[:KINDS_NAMED])
    return f"unknown: no run of {named}{more} is stored; known once each has been trained a while"


def _on_slots(study: Study, slots: int, took: str, more: str, work: float) -> str:
    source = f"from {study.pace.runs_read} stored run{'s' if study.pace.runs_read > 1 else ''}"
    if slots < 1:
        return f"{duration(work)} of trials in all ({source}; no trial fits on this machine)"
    return f"{took} on this machine's {slots} slots ({source}{'; ' * bool(more)}{more})"


def _size(size: float) -> str:
    return f"{size / 2**20:.0f} MiB" if size < GIB else f"{size / GIB:.1f} GiB"


def _memory(study: Study, needed: int, here: dict[str, float]) -> str:
    resources = study.config.resources
    said = "as stated" if resources.memory_gib_per_trial else "estimated"
    free = int(here["memory"])
    fit = f"{fitting(needed, free)} fit into {free / GIB:.1f} GiB free here"
    text = f"about {needed / GIB:.1f} GiB a trial ({said}): {fit}"
    if not resources.gpus_per_trial:
        return text
    on_gpu = gpu_bytes(study.specs)
    text += f"; about {on_gpu / GIB:.1f} GiB of its GPU, {_sharing(trials_on_a_gpu(resources) or 1)}"
    smallest = min((gpu.memory_mib for gpu in gpus_here()), default=0) * 2**20
    return text + (f": {fitting(on_gpu, smallest)} fit into {smallest / GIB:.0f} GiB" if smallest else "")


def _sharing(trials: int) -> str:
    return f"which {trials} share" if trials > 1 else "one trial a GPU"

