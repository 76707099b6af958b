"""A search as Optuna's studies: rebuilt from what was drawn and from the store, and written for `optuna-dashboard`."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

from lidartune.config import Range, StudyConfig, Values
from lidartune.tuning.points import Point, Points
from lidartune.tuning.space import Drawn, Stage, StageSpace, as_choice
from lidartune.tuning.study import Study
from lidartune.whole_file import write_whole

FILE = "optuna.log"
FEWEST_FOR_IMPORTANCE = 4


def open_stage(config: StudyConfig, stage: Stage, storage: optuna.storages.BaseStorage) -> optuna.Study:
    """A new study of this stage's points; its objective is the real validation mIoU."""
    return optuna.create_study(storage=storage, study_name=f"{config.name}-{stage}", direction="maximize")


def pruner(config: StudyConfig) -> optuna.pruners.SuccessiveHalvingPruner | None:
    """Asynchronous successive halving over epochs of fine-tuning (Li et al., MLSys 2020); None: nothing is stopped."""
    if config.search.scheduler == "none":
        return None
    return optuna.pruners.SuccessiveHalvingPruner(
        min_resource=config.search.grace_epochs, reduction_factor=config.search.reduction_factor
    )


def params_of(space: StageSpace, drawn: Drawn) -> dict[str, Any]:
    """The values that a point of this stage has drawn, by name."""
    known: dict[str, Any] = {}

    def choose(name: str, values: Values) -> Any:
        known[name] = drawn.values[name]
        return known[name]

    space.walk(choose)
    return known


def as_trial(config: StudyConfig, points: Points, point: Point) -> FrozenTrial:
    """A point as Optuna's trial: complete, pruned where it was stopped, running where it is under way, else failed."""
    space = points.spaces[point.drawn.stage]
    distributions: dict[str, BaseDistribution] = {}

    def choose(name: str, values: Values) -> Any:
        distributions[name] = _distribution(values)
        return point.drawn.values[name]

    space.walk(choose)
    value, curve, state = points.value(point), points.curve(point), TrialState.COMPLETE
    if value is None:
        state = TrialState.FAIL if points.is_over(point) else TrialState.RUNNING
    if point.stopped is not None:
        state, value = TrialState.PRUNED, curve.get(point.stopped)
    return create_trial(
        state=state,
        value=value,
        params={name: as_choice(point.drawn.values[name]) for name in distributions},
        distributions=distributions,
        intermediate_values=curve,
        user_attrs={"point": point.name, "runs": point.runs},
        system_attrs=_rungs(config, curve),
    )


def rebuilt(study: Study, points: Points, storage: optuna.storages.BaseStorage) -> dict[Stage, optuna.Study]:
    """Every stage's study with all points of it."""
    studies = {}
    for stage in points.spaces:
        studies[stage] = open_stage(study.config, stage, storage)
        studies[stage].add_trials([as_trial(study.config, points, point) for point in points.of(stage)])
    return studies


def write_optuna_file(study: Study, points: Points) -> None:
    """Writes the studies to the file `optuna.log`, whole: `optuna-dashboard` opens it."""
    with tempfile.TemporaryDirectory(prefix="lidartune-") as folder:
        path = Path(folder) / FILE
        rebuilt(study, points, JournalStorage(JournalFileBackend(str(path))))
        write_whole(study.folder / FILE, path.read_bytes())


def importances(study: Study, points: Points) -> dict[Stage, dict[str, float]]:
    """Share of each drawn value in what a stage's best points have in common; by PED-ANOVA (Watanabe et al., IJCAI
    2023). A stage with fewer than four finished points, or without a choice, has none."""
    found: dict[Stage, dict[str, float]] = {}
    for stage, optuna_study in rebuilt(study, points, optuna.storages.InMemoryStorage()).items():
        complete = optuna_study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        names = {name for trial in complete for name, kind in trial.distributions.items() if not kind.single()}
        if len(complete) >= FEWEST_FOR_IMPORTANCE and names:
            evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.25)
            with suppress(ValueError, RuntimeError):  # values that tell nothing, or all the same: no study ends by this
                found[stage] = optuna.importance.get_param_importances(
                    optuna_study, evaluator=evaluator, params=sorted(names)
                )
    return found


def _distribution(values: Values) -> BaseDistribution:
    if not isinstance(values, Range):
        return CategoricalDistribution([as_choice(value) for value in values])
    if values.whole:
        return IntDistribution(int(values.low), int(values.high), log=values.log)
    return FloatDistribution(values.low, values.high, log=values.log)


def _rungs(config: StudyConfig, curve: dict[int, float]) -> dict[str, Any]:
    """What asha has noted of a point, under Optuna's names: its score at each look."""
    search, noted = config.search, {}
    epoch, rung = search.grace_epochs, 0
    while search.scheduler == "asha" and epoch in curve and epoch < config.finetune_epochs:
        noted[f"completed_rung_{rung}"] = curve[epoch]
        epoch, rung = epoch * search.reduction_factor, rung + 1
    return noted
