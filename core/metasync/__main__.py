"""`python -m metasync` is the console script."""

from metasync.cli import main

main()
