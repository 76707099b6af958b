"""What roles of a cell are called in plan.json; imports nothing, so that a report need not load what trains."""

LADDER_ROLE = "ladder:"
"""How the role of a rung begins: `ladder:adabn`."""
