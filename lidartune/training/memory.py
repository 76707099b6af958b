"""What was used last, as much of it as fits."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, Protocol, TypeVar


class Sized(Protocol):
    """Something that knows how much memory it takes, from its first moment to its last."""

    def nbytes(self) -> int: ...


T = TypeVar("T", bound=Sized)


class Memory:
    """Keeps values by key; those that were not used for longest go first. Several threads may use it at once.

    Args:
        limit_bytes: how much is kept. A value that is larger is handed out and not kept.
    """

    def __init__(self, limit_bytes: int):
        self._limit = limit_bytes
        self._lock = Lock()
        self._kept: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self.nbytes = 0

    def recall(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of this key, made where it is not there.

        Threads do not wait for each other: two may make the same value at once, and the first to be ready is kept.
        """
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key][0]
        value = make()
        size = value.nbytes()
        with self._lock:
            if key not in self._kept and size <= self._limit:
                self._kept[key] = value, size
                self.nbytes += size
                while self.nbytes > self._limit:
                    self.nbytes -= self._kept.popitem(last=False)[1][1]
        return value
