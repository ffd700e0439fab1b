"""Synchronise: from imported objects to pending operations. `synchronise.synchronise` is the way in; nothing here speaks to a directory,
except to ask which unique values are taken."""
