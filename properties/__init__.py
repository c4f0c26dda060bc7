"""What follows from the model: proofs, searches, sequences, verdicts and findings."""
