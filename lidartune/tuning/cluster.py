"""Ray, started on this machine or joined elsewhere, and kept quiet."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

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


def slots(resources: Resources) -> int:
    """How many trials fit at once on the Ray that is up."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    fitting = 0
    for node in nodes:
        on_node = int(node.get("CPU", 0) // resources.cpus_per_trial)
        if resources.gpus_per_trial:
            on_node = min(on_node, int(node.get("GPU", 0) / resources.gpus_per_trial))
        fitting += on_node
    if fitting < 1:
        raise UserError(
            "no trial fits on the machines there are",
            where="resources",
            found="; ".join(f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs" for node in nodes),
            wanted=f"{resources.cpus_per_trial} CPUs and {resources.gpus_per_trial:g} GPUs on one machine",
            do="lower resources.cpus_per_trial or resources.gpus_per_trial",
        )
    return min(fitting, resources.trials_at_once or fitting)
