"""Exporting: approved changes reach their directories exactly once, through the ledger, and an import confirms them."""

from metasync.exporting.batches import ExportOutcome, Ticket, export, prepare, settle, work
from metasync.exporting.confirm import Confirmation, confirm_import
from metasync.exporting.lost import let_go_of_lost

__all__ = ["Confirmation", "ExportOutcome", "Ticket", "confirm_import", "export", "let_go_of_lost", "prepare", "settle", "work"]
