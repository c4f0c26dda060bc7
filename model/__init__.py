"""What the standard says: states, calls, rules, precedence and interpretations, and the oracle that runs them."""
