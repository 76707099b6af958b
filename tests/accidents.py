"""Accidents that happen to files, and what is asked of whoever reads them: our error, or none."""

from __future__ import annotations

import random
import re
import struct
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from lidartune.errors import UserError

Read = TypeVar("Read")


def attempt(read: Callable[[], Read], *named: Path, data: object = None) -> Read | None:
    """What was read, or None where it was refused as it should be, with one of `named` in the message."""
    try:
        return read()
    except UserError as error:
        said = str(error)
        assert any(str(path) in said for path in named), f"{said}\n\nnames none of {named}: {data!r}"
        assert "\n  next:  " in said, f"{said}\n\ndoes not say what to do: {data!r}"
        assert len(said) < 1500, f"a message of {len(said)} characters: {data!r}"
        odd = [c for c in said if unicodedata.category(c)[0] == "C" and c != "\n"]
        assert not odd, f"control characters {odd} for {data!r}"
    except Exception as error:
        raise AssertionError(f"{type(error).__name__}: {error}\n\nfor {str(data)[:3000]!r}") from error
    return None


def put(path: Path, data: bytes) -> None:
    """Writes a new file each time: ext4 brings one that is cut and written again to the disk at once, which is slow."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def mutated(data: bytes, rng: random.Random) -> bytes:
    """One to three accidents: flipped bits, lost, repeated or foreign bytes, numbers that are none."""
    special = [struct.pack("<f", v) for v in (np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, 3.4e38, -3.4e38, 1e20)]
    special += [struct.pack("<I", v) for v in (0xFFFFFFFF, 0x7F800001, 0xFFFF, 0x10000, 255, 260)]
    for _ in range(rng.randint(1, 3)):
        at, length = rng.randint(0, len(data)), rng.choice([1, 3, 4, 16, 40])
        accident = rng.randrange(8)
        if accident == 0 and data:
            at %= len(data)
            data = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
        elif accident == 1:
            data = data[:at]
        elif accident == 2:
            data = data[:at] + data[at + length :]
        elif accident == 3:
            data = data[:at] + rng.randbytes(length) + data[at:]
        elif accident == 4:
            data = data[:at] + data[at : at + length] + data[at:]
        elif accident == 5:
            data = data[: at // 4 * 4] + rng.choice(special) + data[at // 4 * 4 + 4 :]
        elif accident == 6:
            data = data[at:] + data[:at]
        else:
            data = rng.randbytes(len(data))
    return data


BOMB = "\n".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 4) if i else 'x'}]" for i in range(30))
MERGE_BOMB = "m0: &m0 {k: v}\n" + "\n".join(f"m{i}: &m{i} {{<<: [*m{i - 1}, *m{i - 1}]}}" for i in range(1, 30))
NASTY = [
    "", "~", "null", "true", "no", "-1", "-0", "0", "1", "2", "3", "254", "255", "256", "65535", "65536", "010", "0b1",
    "0x1F", "1_0", "+1", "1.5", ".5", "1e3", "1e999", "-1e999", ".nan", ".inf", "-.inf", "1:30:00", "2001-01-01",
    "2001-99-99", "9" * 5000, "'" + "9" * 5000 + "'", "0x" + "f" * 5000, "-" + "9" * 5000, "x" * 5000, "٣", "é",
    "'\u2028'", "[]", "{}", "[1, 2]", "[1, 2, 3]", "[1, 2", "{a: b", "{1: 2}", "[a, [b, {c: d}]]", "!!int ''",
    "!!float ''", "!!bool 7", "!!timestamp x", "!!binary '@@'", "!!binary aGVsbG8=", "!!set {a, b}", "!!omap [a: 1]",
    "!!pairs [a]", "!!str 10", "!!python/object/apply:os.system ['touch owned']", "!!python/name:os.system",
    "!unknown x", "!<x> y", "&a [*a]", "&a {b: *a}", "*nobody", "&a 10", "? [a]", "<<: {1: 2}", "<<", "=", "|", ">",
    "- a", "a: b: c", "\t", "\t10: 1", "@", "`", "%YAML 9.9", "---", "...", "#", "'", '"', '"\\x1b[2J"', '"\\0"',
    '"\\n"', "\x00", "\x1b", "\x85", "[" * 20, "{a: " * 20, "- " * 20, "[" * 20 + "]" * 20, "*a29", "*m29",
    "{*a29: 1}", "[*a29, 1, 2]",
]  # fmt: skip


def mutated_yaml(text: bytes, rng: random.Random) -> bytes:
    """One to three accidents: most of them to single values and keys, some to lines, some to bytes."""
    if rng.random() < 0.1:
        return mutated(text, rng)
    lines = text.decode().split("\n")
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        at = rng.randrange(1, len(lines))
        line, nasty = lines[at], rng.choice(NASTY)
        accident = rng.randrange(12)
        if accident == 0 and len(lines) > 2:
            del lines[at]
        elif accident == 1:
            lines.insert(at, line)
        elif accident == 2:
            other = rng.randrange(len(lines))
            lines[at], lines[other] = lines[other], line
        elif accident == 3:
            lines[at] = rng.choice(["  ", "\t", " "]) + line
        elif accident == 4:
            lines.insert(at, rng.choice([nasty, BOMB, MERGE_BOMB]))
        elif accident == 5:
            lines[at] = line.partition(":")[0] + ": " + nasty
            if rng.random() < 0.3:
                lines.insert(1, rng.choice([BOMB, MERGE_BOMB]))
        else:
            words = list(re.finditer(r"[^\s{}\[\],:]+", line))
            if words:
                word = rng.choice(words)
                lines[at] = line[: word.start()] + nasty + line[word.end() :]
    return "\n".join(lines).encode()
