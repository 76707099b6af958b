"""The one exception that users see, and how it reads."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable


class UserError(Exception):
    """Something the user can put right: printed as one message, without a traceback, exit status 1.

    Args:
        what: what is wrong, as a sentence.
        where: the file, folder or setting it was found in.
        found: what was there.
        wanted: what should have been there.
        do: what to do next.
    """

    def __init__(
        self, what: str, *, where: object = None, found: object = None, wanted: object = None, do: str | None = None
    ):
        parts = (("where", where), ("found", found), ("wanted", wanted), ("next", do))
        lines = [what] + [f"  {name + ':':<8}{value}" for name, value in parts if value is not None]
        super().__init__(_printable("\n".join(lines)))
        self.what = what
        self._parts = {name: None if value is None else str(value) for name, value in parts}

    def parts(self) -> dict[str, str | None]:
        """What it was made of, as plain values: `UserError(**error.parts())` says the same."""
        found = self._parts | {"do": self._parts["next"]}
        return {"what": self.what} | {name: found[name] for name in ("where", "found", "wanted", "do")}

    def within(self, place: str) -> UserError:
        """The same error where what it names as its place is a part of `place`: `study.yaml: network` and `inputs`."""
        where, found, wanted, do = self._parts.values()
        return UserError(self.what, where=f"{place}.{where}" if where else place, found=found, wanted=wanted, do=do)


def _printable(text: str) -> str:
    """The text with control characters and what is no UTF-8 escaped: file names and files may hold either."""
    odd = {c for c in text if unicodedata.category(c)[0] == "C" and c != "\n"}
    return text.translate({ord(c): c.encode("unicode_escape").decode() for c in odd})


NAMED = 20
"""Names that a message lists at most."""


def nearest(name: str, known: Iterable[str]) -> str:
    """One of `known`, named as a suggestion: `did you mean 'width'?`, or where none is near, the first of the list."""
    known = [str(k) for k in known]
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    more = f" and {len(known) - NAMED} more" if len(known) > NAMED else ""
    return "one of " + ", ".join(sorted(known)[:NAMED]) + more
