"""How each function is called for real: its C arguments, and what its answer means. A file a chapter."""
