"""Faults: every point of `metasync.faults`, and a driver that lets the product fail at random."""
