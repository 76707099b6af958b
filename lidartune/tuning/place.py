"""Where a study works: in its results folder, or in a local one that is brought to a bucket as it grows."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from lidartune.errors import UserError
from lidartune.report.results import planned_cells
from lidartune.report.tensorboard import EVENTS_NAME, StudyWriter
from lidartune.runs.files import is_uri
from lidartune.runs.mirror import Mirror, cache_folder
from lidartune.runs.s3 import S3Files
from lidartune.runs.store import Store
from lidartune.tuning.bucket_lock import hold, let_go

SEND_EVERY_S = 1.0
EVENTS_EVERY_S = 30.0


class Place:
    """A results folder that this machine sees: there is nothing to bring anywhere.

    `folder` is the results folder here, `store` the one that trials write into, `study_uri` the study's folder as it is
    named to people.
    """

    def __init__(self, folder: Path, store: Store, study: str):
        self.folder, self.store, self.study = folder, store, study

    @property
    def study_folder(self) -> Path:
        return self.folder / self.study

    @property
    def study_uri(self) -> str:
        return f"{self.store.results}/{self.study}"

    def __enter__(self) -> Place:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def seen(self) -> Path:
        """A results folder in which the study's plan and its points can be read, beside whoever works on it."""
        return self.folder

    def fetch_runs(self, runs: Iterable[str]) -> None:
        """Makes sure that the scores and timings of these runs can be read below `folder`."""

    def writer(self) -> StudyWriter:
        """TensorBoard's events of the study, as its plan is now."""
        return StudyWriter(self.study_folder, self.folder / "runs")


class BucketPlace(Place):
    """A results folder in a bucket, worked on in a mirror of it. As a context it holds the lock of one driver.

    The study's own files are sent within a second or two of their change, TensorBoard's events twice a minute, and the
    rest, the report among it, at the end. While the bucket cannot be reached they wait here.
    """

    def __init__(self, uri: str, study: str):
        self._lock_files = S3Files(uri, patient=False)
        store = Store(self._lock_files.uri)
        assert isinstance(store.files, S3Files)
        self._mirror = Mirror(remote=store.files, folder=cache_folder(store.results, "studies"))
        super().__init__(self._mirror.folder, store, study)
        self._ended = threading.Event()
        self._busy = threading.Lock()
        self._trouble: UserError | None = None
        self._writer: _LaterWriter | None = None
        self._sender = threading.Thread(target=self._keep_sending, name="to the bucket", daemon=True)

    def __enter__(self) -> BucketPlace:
        self._held = hold(self._lock_files)
        try:
            self._mirror.fetch_study(self.study, but=_is_event_file)
        except BaseException:
            let_go(self._lock_files, self._held)
            raise
        self._sender.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        try:
            if error is None:
                self._sender.join()
                self._send_events()
                self._mirror.send_study(self.study)
            elif self._trouble is None:
                self._sender.join(timeout=5)
                with suppress(UserError):
                    self._send_own_files()
                    self._send_events()
        finally:
            with suppress(UserError):
                let_go(self._lock_files, self._held)

    def seen(self) -> Path:
        copy = replace(self._mirror, folder=cache_folder(self.store.results, "plans"))
        copy.fetch_study(self.study, but=lambda path: path not in ("plan.json", "search.json"))
        return copy.folder

    def fetch_runs(self, runs: Iterable[str]) -> None:
        with self._busy:
            self._mirror.fetch_runs(runs)

    def writer(self) -> StudyWriter:
        plan = json.loads((self.study_folder / "plan.json").read_text(encoding="utf-8"))
        self.fetch_runs({str(role["run"]) for cell in planned_cells(plan) for role in cell["roles"].values()})
        with self._busy:
            self._writer = _LaterWriter(self.study_folder, self.folder / "runs")
        return self._writer

    # -- sending ----------------------------------------------------------------------------------------------------

    def _keep_sending(self) -> None:
        events_at = time.monotonic()
        while not self._ended.wait(SEND_EVERY_S):
            try:
                self._send_own_files()
                if time.monotonic() - events_at > EVENTS_EVERY_S:
                    self._send_events()
                    events_at = time.monotonic()
                self._trouble = None
            except UserError as trouble:  # it is tried again, and at the end it counts
                self._trouble = trouble

    def _send_own_files(self) -> None:
        with self._busy:
            self._mirror.send_study(self.study, only=_is_own_file)

    def _send_events(self) -> None:
        with self._busy:
            if self._writer is not None:
                self._writer.catch_up(self._mirror)
                self._mirror.send_study(self.study, only=_is_event_file)


class _LaterWriter(StudyWriter):
    """Takes note of epochs, and shows them when they have been fetched."""

    def __init__(self, study_folder: Path, runs_root: Path):
        super().__init__(study_folder, runs_root)
        self._noted: dict[str, int] = {}

    def epoch(self, run_folder_name: str, epoch: int) -> None:
        self._noted[run_folder_name] = epoch

    def catch_up(self, mirror: Mirror) -> None:
        """Fetches and shows what was noted."""
        noted = dict(self._noted)
        mirror.fetch_runs(noted)
        for run, epoch in noted.items():
            super().epoch(run, epoch)
            if self._noted.get(run) == epoch:
                del self._noted[run]


def open_place(results: str | Path, study: str) -> Place:
    """The place of a study below a results folder or `s3://bucket/folder`. Touches nothing yet."""
    Store(results)  # which refuses what it cannot use
    if is_uri(results):
        return BucketPlace(str(results), study)
    folder = Path(results).resolve()
    return Place(folder, Store(folder), study)


def _is_event_file(path: str) -> bool:
    return path.startswith("tensorboard/") and path.endswith(f"/{EVENTS_NAME}")


def _is_own_file(path: str) -> bool:
    return path.partition("/")[0] not in ("tensorboard", "report")
