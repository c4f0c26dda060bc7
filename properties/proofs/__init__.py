"""What holds in every reachable state: conditions lifted to z3."""
