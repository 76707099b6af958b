"""What is remembered of runs, and how one is carried out: spec, store, trajectory."""
