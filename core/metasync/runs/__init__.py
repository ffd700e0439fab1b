"""Runs: which steps are done in which order, what is recorded of them, and who may do them now."""
