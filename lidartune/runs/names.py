"""What a run may be called; imports nothing, so that a report need not load what trains."""

LONGEST_NAME = 200


def is_run_name(run: str) -> bool:
    """A folder in the store: nothing else on this machine is touched because a plan from elsewhere says so."""
    plain = run.isprintable() and len(run) <= LONGEST_NAME
    return plain and not {"/", "\\"} & set(run) and run not in ("", ".", "..")
