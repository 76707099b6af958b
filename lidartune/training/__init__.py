"""One run, no Ray in sight: recipe, loader, loop, freeze, seeding. Import the modules; this package imports nothing."""
