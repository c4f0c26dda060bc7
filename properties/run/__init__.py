"""A check of a module: what is done, in which order, and what comes of it."""
