"""Metasync: keeps users, groups and contacts in step between directories."""

__version__ = "0.1.0"
