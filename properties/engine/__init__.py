"""What an answer means: the oracle made quick, and verdicts."""
