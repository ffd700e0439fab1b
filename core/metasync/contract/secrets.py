"""A secret provider finds secrets by name: environment, file, an encrypted store, or what a plugin knows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar


class SecretProvider(ABC):
    """Registered once, by `metasync_register_secret_providers`; asked after the engine's own providers."""

    name: ClassVar[str]
    title: ClassVar[str]

    @abstractmethod
    def get(self, name: str) -> str | None:
        """The secret, or None if this provider has none by that name."""
