"""Where to look: goals of the rows, ways to them, graphs of small scopes, and what chooses at random."""
