"""python -m metasync_entra.lab: the same as `metasync lab entra`, without a document."""

from __future__ import annotations

from metasync_entra.lab.commands import entra

entra(prog_name="python -m metasync_entra.lab")
