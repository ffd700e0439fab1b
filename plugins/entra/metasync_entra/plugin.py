"""What Metasync's host loads: the hooks of this plugin."""

from __future__ import annotations
