"""`python -m metasync` is the console script."""

from metasync.cli import main

if __name__ == "__main__":
    main()
