"""The command line: parses, calls `metasync.service`, prints. One module per group of verbs; `main` puts them together."""

from metasync.cli.main import main

__all__ = ["main"]
