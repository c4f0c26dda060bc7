"""The standard held against itself: lint, overlaps, versions."""
