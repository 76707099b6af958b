"""A dataset looked at before it is trusted: its files, its points, its sensor, and what sets it apart from another."""
