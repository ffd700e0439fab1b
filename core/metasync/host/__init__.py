"""The plugin host: verify, then load. `Host` holds what the plugins of one engagement registered."""

from metasync.host.info import PluginInfo, State
from metasync.host.lock import LOCK_NAME, LockError, NothingToLock, write_lock
from metasync.host.registry import Host, PluginFailed, verify_all

__all__ = ["LOCK_NAME", "Host", "LockError", "NothingToLock", "PluginFailed", "PluginInfo", "State", "verify_all", "write_lock"]
