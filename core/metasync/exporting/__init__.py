"""Exporting: approved changes reach their directories exactly once, through the ledger, and an import confirms them."""
