"""The log file of an unexpected error: readable by its owner only, and with every secret that this process knows taken out."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path

from metasync import __version__, service


def no_core_file() -> None:
    """Where this process crashes, the system writes none: it would hold every secret that this process knows."""
    if sys.platform != "win32":
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, most))


def write_crash(settings: service.Settings, error: BaseException) -> Path:
    """Write the details beside the document, or into the folder for temporary files where that cannot be written to."""
    now = datetime.now(UTC)
    head = [
        f"metasync {__version__}, Python {platform.python_version()}, {platform.platform()}",
        f"{now:%Y-%m-%dT%H:%M:%SZ}",
        f"command: metasync {' '.join(sys.argv[1:])}",
        "",
    ]
    text = service.scrub("\n".join(head) + "\n" + "".join(traceback.format_exception(error)))
    name = f"metasync-error-{now:%Y%m%dT%H%M%S%fZ}.log"
    for folder in (settings.engagement.absolute().parent, Path(tempfile.gettempdir())):
        try:
            handle = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError:
            continue
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
        return folder / name
    return Path("(no log: no folder could be written to)")
