"""A trial of Tune: one run, carried out in a worker process."""

from __future__ import annotations

import gc
import json
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any

import torch
from ray import tune

from lidartune.config import StudyConfig, from_dict
from lidartune.errors import UserError
from lidartune.runs.ledger import EpochDone, RunData
from lidartune.runs.spec import DOMAINS, UNLABELLED, Domain, RunSpec, other_domain
from lidartune.runs.store import CannotWrite, Store
from lidartune.runs.trajectory import Trajectory
from lidartune.scans import ScanFile
from lidartune.scoring.confusion import ConfusionMatrix
from lidartune.training.loader import ScanReader
from lidartune.training.trouble import TrainingDiverged
from lidartune.training.unlabelled import unlabelled
from lidartune.transfer.data import StudyData, open_study_data


def run_trial(config: dict[str, Any], *, study: str, results: str) -> None:
    """Carries out `config["spec"]` until `config["epochs"]` are in the store, reporting every committed epoch.

    A failure is reported as a value: a trial that raises vanishes from Tune's tables and is tried again, which would
    only repeat a diverged loss. What is left to raise is the loss of the process itself. `halts` says that no run can
    go on.
    """
    try:
        spec = RunSpec.from_dict(config["spec"])
        _trajectory(spec, study, results).carry_out(config["epochs"], _report, untested=config["untested"])
        tune.report({"epoch": max(config["epochs"]), "finished": True})
    except CannotWrite as error:
        tune.report({"epoch": -1, "halts": list(error.parts().items())})
    except (UserError, TrainingDiverged) as error:
        _report_failure(" ".join(str(error).split()), traceback.format_exc())
    except Exception as error:
        _report_failure(f"{type(error).__name__}: {error}", traceback.format_exc())
    finally:
        _release()


def run_data(spec: RunSpec, data: StudyData, readers: dict[Domain, ScanReader]) -> RunData:
    """The scans of a run, checked against the fingerprint in its spec."""
    train: Sequence[ScanFile] = ()
    found = spec.train
    if spec.imported is None:
        train = data.domains[spec.domain].training_scans(spec.labelled_scans, spec.seed)
        found = data.train_fingerprint(spec.domain, spec.labelled_scans, spec.seed)
    other, found_other = _other_scans(spec, data)
    here = (found, found_other, data.validation, data.test, data.taxonomies)
    if here != (spec.train, spec.other, spec.validation, spec.test, spec.taxonomies):
        raise UserError(
            "the dataset on this machine is not the one that the study was planned with",
            where=", ".join(str(data.domains[domain].dataset.root) for domain in DOMAINS),
            do="bring the same files to every machine, or start the study again",
        )
    return RunData(
        train=train,
        validation={domain: data.domains[domain].validation for domain in DOMAINS},
        test={domain: data.domains[domain].test for domain in DOMAINS},
        readers=readers,
        other=other,
    )


def _other_scans(spec: RunSpec, data: StudyData) -> tuple[Sequence[ScanFile], str]:
    """The other domain's training scans as far as the run sees them, and their fingerprint here."""
    if not spec.other:
        return (), ""
    domain, labelled = other_domain(spec.domain), not spec.other.startswith(UNLABELLED)
    scans = data.domains[domain].train
    return scans if labelled else unlabelled(scans), data.other_fingerprint(domain, labelled=labelled)


@lru_cache(maxsize=1)
def _workplace(study: str) -> tuple[StudyConfig, StudyData, dict[Domain, ScanReader]]:
    """What the trials of a study that meet in this process share: the datasets, and canvases already made."""
    config = from_dict(json.loads(study))
    data = open_study_data(config)
    resources = config.resources
    readers = {
        domain: ScanReader(
            data.domains[domain].dataset,
            memory_bytes=int(resources.scan_memory_gib * 2**30 / len(DOMAINS)),
            threads=resources.reader_threads,
        )
        for domain in DOMAINS
    }
    return config, data, readers


def _trajectory(spec: RunSpec, study: str, results: str) -> Trajectory:
    config, data, readers = _workplace(study)
    torch.set_num_threads(config.resources.cpus_per_trial)
    return Trajectory(
        spec=spec, data=run_data(spec, data, readers), store=Store(results), device=_device(config)
    )


def _device(config: StudyConfig) -> torch.device:
    if config.resources.gpus_per_trial == 0:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise UserError(
            "this trial was given a GPU that torch cannot use",
            found=f"torch {torch.__version__}, built for CUDA {torch.version.cuda}",
            wanted="a torch build that fits the installed driver",
            do="install that build (README: GPU machines), or set resources.gpus_per_trial=0",
        )
    return torch.device("cuda")


def _release() -> None:
    """Gives back what the trial held, before the process is given another one; what `_workplace` keeps stays."""
    gc.collect()  # networks and optimisers refer to themselves
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _report(done: EpochDone) -> None:
    scores = {  # empty for a milestone that was there already
        domain: ConfusionMatrix.from_matrix(matrices["points"]).miou() for domain, matrices in done.validation.items()
    }
    tune.report(
        {
            "epoch": done.epoch,
            "kept": done.kept,
            "miou": scores,
            "scans_per_second": done.scans_per_second,
            "notes": [asdict(note) for note in done.notes],
        }
    )


def _report_failure(message: str, log: str) -> None:
    tune.report({"epoch": -1, "failure": message, "log": log})
