"""What a study would do and what it would cost: printed at once, without Ray, torch or the datasets."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from lidartune.config import StudyConfig
from lidartune.processes import duration
from lidartune.transfer.data import open_study_data, what_is_missing
from lidartune.tuning.cluster import on_machine, trials_on_a_gpu
from lidartune.tuning.disk import study_bytes
from lidartune.tuning.footprint import fitting, gpu_bytes, trial_bytes
from lidartune.tuning.hours import forecast
from lidartune.tuning.machine import gpus_here, resources_here
from lidartune.tuning.pace import kind_of
from lidartune.tuning.place import open_place
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
    if study.config.search.sampler == "grid" and not study.schedule.anything_open():
        return []
    needed = trial_bytes(study.specs, study.config.resources, study.data)
    here = resources_here(gpus=study.config.resources.gpus_per_trial > 0)
    slots = on_machine(here, study.config.resources, needed)
    slots = min(slots, study.config.resources.trials_at_once or slots)
    return [f"  time: {_time(study, slots)}", f"  disk: {_disk(study)}", f"  memory: {_memory(study, needed, here)}"]


def _time(study: Study, slots: int) -> str:
    unknown = sorted({str(kind_of(spec)) for spec in study.specs if study.pace.seconds(spec) is None})
    if unknown:
        more = f" and {len(unknown) - KINDS_NAMED} more" if len(unknown) > KINDS_NAMED else ""
        named = ", ".join(unknown[:KINDS_NAMED])
        return f"unknown: no run of {named}{more} is stored; known once each has been trained a while"
    share = _share(study)
    found = forecast(study.whole, study.schedule.is_there, study.pace, max(1, slots))
    source = f"from {study.pace.runs_read} stored run{'s' if study.pace.runs_read > 1 else ''}"
    chain = f"the longest chain {duration(found.longest_chain)}" if share == 1 else "at most: cells share runs"
    if slots < 1:
        return f"{duration(share * found.work)} of trials in all ({source}; no trial fits on this machine)"
    return f"about {duration(share * found.makespan)} on this machine's {slots} slots ({source}; {chain})"


def _disk(study: Study) -> str:
    left = _share(study) * study_bytes(study.whole, study.schedule.is_there, study.data)
    return f"about {left / 2**20:.0f} MiB more" if left < GIB else f"about {left / GIB:.1f} GiB more"


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


def _share(study: Study) -> float:
    """The part of the whole grid's settings that a search draws; 1 for a grid."""
    search, seeds = study.config.search, max(1, len(study.config.grid.seed))
    if search.sampler == "grid" or not search.trials:
        return 1.0
    return min(1.0, search.trials * seeds / max(1, len(study.whole.roles)))
