"""The laws of the engine, proved over whole cycles: from the source's import to the target's confirmation."""
