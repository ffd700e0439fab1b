"""Synchronise: from imported objects to pending operations. `synchronise.synchronise` is the way in; nothing here speaks to a directory,
except to ask which unique values are taken."""

from metasync.synchronising.setting import SyncOutcome
from metasync.synchronising.synchronise import synchronise

__all__ = ["SyncOutcome", "synchronise"]
