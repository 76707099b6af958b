"""Ray, started on this machine or joined elsewhere, and kept quiet."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lidartune.config import Resources
from lidartune.errors import UserError

SETTINGS = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative dataset paths stay valid
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # TensorBoard events come from the store
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C ends the study here, not inside Tune
    "TUNE_GLOBAL_CHECKPOINT_S": "100000",  # Tune's own state is never restored
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_MAX_PENDING_TRIALS_PG": "16",  # with a search algorithm Tune would create one trial at a time
    # glibc gives large blocks back and fetches them again at every layer: page faults cost a good part of a CPU step
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(4 * 2**30),
    "MALLOC_TOP_PAD_": str(64 * 2**20),
}
"""Environment of Ray and its workers, unless the user has set them otherwise."""
OF_S3 = (
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_PROFILE",
    "AWS_MAX_ATTEMPTS",
    "AWS_EC2_METADATA_DISABLED",
)
"""Settings of the driver's environment that workers on other machines get as well. Keys are not among them: Ray writes
them into its logs."""
OBJECT_STORE_BYTES = 100 * 2**20


@contextmanager
def ray_cluster(address: str | None) -> Iterator[None]:
    """A Ray to run trials on: this machine's processors, or the cluster at `address` (`auto` on a node of it)."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # tracebacks of lost workers: tuning/lost.py has a line
    answer_to_sigterm = signal.getsignal(signal.SIGTERM)  # Ray puts its own in its place
    if address is None:
        ray.init(
            address="local",
            num_cpus=len(os.sched_getaffinity(0)),
            object_store_memory=OBJECT_STORE_BYTES,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    else:
        try:
            ray.init(
                address=address,
                runtime_env={"env_vars": _for_workers()},
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except ConnectionError as error:
            raise UserError(
                "no Ray cluster answers",
                where=f"--address {address}",
                found=str(error).splitlines()[0],
                do="run this on a node of the cluster, or leave --address out",
            ) from None
    signal.signal(signal.SIGTERM, answer_to_sigterm)
    ray._private.worker.print_to_stdstream = _not_printed
    try:
        yield
    finally:
        ray.shutdown()


def _not_printed(data: object, ignore_prefix: bool) -> None:
    """Takes the place of Ray's printing what its daemons tell of lost workers, which no setting of Ray's turns off."""


def _for_workers() -> dict[str, str]:
    """What workers of a cluster get of this process's environment; of a Ray that is started here they inherit all."""
    return {name: os.environ[name] for name in (*SETTINGS, *OF_S3) if name in os.environ}


def nodes() -> list[dict[str, Any]]:
    """The machines of the Ray that is up, for the study's manifest."""
    import ray

    return [
        {
            "address": node["NodeManagerAddress"],
            "host": node["NodeManagerHostname"],
            "cpus": node["Resources"].get("CPU", 0.0),
            "gpus": node["Resources"].get("GPU", 0.0),
            "memory_gib": round(node["Resources"].get("memory", 0.0) / 2**30, 1),
            "accelerators": [n.partition(":")[2] for n in node["Resources"] if n.startswith("accelerator_type:")],
        }
        for node in ray.nodes()
        if node["Alive"]
    ]


def slots(resources: Resources, trial_bytes: int) -> int:
    """How many trials fit at once on the Ray that is up, by processors, GPUs and memory of each of its machines.

    Args:
        trial_bytes: memory that a trial takes of its machine (lidartune/tuning/footprint.py).
    """
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    fitting = sum(on_machine(node, resources, trial_bytes) for node in nodes)
    if fitting < 1:
        raise UserError(
            "no trial fits on the machines there are",
            where="resources",
            found="; ".join(map(_said, nodes)),
            wanted=f"{_said(trial_needs(resources, trial_bytes))} on one machine",
            do="lower resources.cpus_per_trial or resources.gpus_per_trial; for memory recipe.batch_size or "
            "resources.scan_memory_gib, or state resources.memory_gib_per_trial if you know it better",
        )
    return min(fitting, resources.trials_at_once or fitting)


def trial_needs(resources: Resources, trial_bytes: int) -> dict[str, float]:
    """What Ray sets aside for a trial; a fraction of a GPU is shared with others, by count and not by memory."""
    return {"CPU": resources.cpus_per_trial, "GPU": resources.gpus_per_trial, "memory": trial_bytes}


def on_machine(has: Mapping[str, float], resources: Resources, trial_bytes: int) -> int:
    """How many trials fit on a machine with these `CPU`, `GPU` and `memory` (bytes).

    A GPU is not put together from pieces of several: three trials of 0.4 need two.
    """
    fitting = int(has.get("CPU", 0) // resources.cpus_per_trial)
    fitting = min(fitting, int(has.get("memory", 0) // max(1, trial_bytes)))
    if resources.gpus_per_trial > 1:
        return min(fitting, int(has.get("GPU", 0) // resources.gpus_per_trial))
    if resources.gpus_per_trial:
        return min(fitting, int(has.get("GPU", 0)) * trials_on_a_gpu(resources))
    return fitting


def trials_on_a_gpu(resources: Resources) -> int:
    """How many trials share a GPU; Ray counts in units of 1/10000."""
    return int(10_000 // round(10_000 * resources.gpus_per_trial))


def _said(has: Mapping[str, float]) -> str:
    return f"{has.get('CPU', 0):g} CPUs, {has.get('GPU', 0):g} GPUs and {has.get('memory', 0) / 2**30:.1f} GiB memory"
