"""What larger installations may expect: throughput of a full synchronisation from measured costs, and what stops it from growing.

A run has a serial part (it is divided, what needs a decision is worked, a plan is frozen), and a part that its workers share. Each shared
person costs a worker's core and the server's cores; whichever is used up first is the limit. It is a model: nothing here was tried beyond
the machine that was measured.
"""

from __future__ import annotations

from collections.abc import Iterator

WORKERS = (1, 2, 4, 8, 16, 32, 64)
SIZES = (100_000, 1_000_000, 10_000_000)
SERVER_CORES = 16


def predict(workers: int, size: int, *, worker: float, server: float, serial: float) -> tuple[float, str]:
    """(seconds, the first bottleneck) of one run. `worker`, `server`: seconds of CPU per person; `serial`: seconds per person."""
    shared = {"the workers' cores": size * worker / workers, f"the server's {SERVER_CORES} cores": size * server / SERVER_CORES}
    # A worker waits while the server works for it: with few workers both are paid one after the other.
    waiting = size * (worker + server) / workers
    seconds = max(waiting, *shared.values())
    alone = size * serial
    name = max(shared, key=lambda one: shared[one])
    if waiting > max(shared.values()):
        name = "the number of workers"
    if alone > seconds:
        name = "the serial part of a run"
    return seconds + alone, name


def table(*, worker: float, server: float, serial: float, people: int) -> list[str]:
    """A table for the results. `worker`, `server`: microseconds of CPU per person; `serial`: seconds of a run of so many `people`."""
    lines = [
        "Predicted, not measured: a full synchronisation of everybody in step, each worker with a core of its own, the server with "
        f"{SERVER_CORES}. The serial part grows with the number of people.",
        "",
        "| workers | " + " | ".join(f"{size:,} people" for size in SIZES) + " | people/s at 10M | first bottleneck |",
        "|---|" + "---|" * (len(SIZES) + 2),
    ]
    lines += _rows(worker / 1e6, server / 1e6, serial / people)
    return lines


def _rows(worker: float, server: float, serial: float) -> Iterator[str]:
    for number in WORKERS:
        found = [predict(number, size, worker=worker, server=server, serial=serial) for size in SIZES]
        times = " | ".join(f"{seconds:,.0f} s" for seconds, _ in found)
        yield f"| {number} | {times} | {SIZES[-1] / found[-1][0]:,.0f} | {found[-1][1]} |"
