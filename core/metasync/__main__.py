"""The console script, which `python -m metasync` is, too."""

from __future__ import annotations

import signal


def main() -> None:
    """Load the program, and begin."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        # Ctrl-C while modules are loaded, which takes a second: nothing was begun, and there is nothing to say.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from metasync.cli.main import main as begin

    signal.signal(signal.SIGINT, before)
    begin()


if __name__ == "__main__":
    main()
