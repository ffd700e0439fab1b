"""The command: `python -m bench`, which `script/bench` calls in an environment of its own."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from lab.postgres import why_not  # noqa: E402

from . import machine, measuring, profiling, report  # noqa: E402
from .promises import limit_of  # noqa: E402
from .rows import ROWS, Found  # noqa: E402
from .sizes import size_of  # noqa: E402

CROWD = 100_000
RESULTS = ROOT / "bench/RESULTS.md"
METHOD = """Each measurement runs in a process of its own, on new databases. Figures are CPU seconds: on SQLite of that process, on
PostgreSQL of it *and* of all the server's processes, on both sides of every ratio. Below 100k objects they are medians of several turns
(three, unless `--turns` says otherwise), each of which runs everything once; from 100k on there is one turn."""


def main(arguments: list[str]) -> int:
    """Measure, print and write; 1 where a row is over."""
    if arguments[:1] == ["ad"]:
        from . import ad

        return ad.main(ROOT, arguments[1:])
    if arguments[:1] == ["entra"]:
        from . import entra

        return entra.main(ROOT, arguments[1:])
    if arguments[:1] == ["queue"]:
        from . import queue

        return queue.main(ROOT, arguments[1:])
    options = _options(arguments)
    only, allowed = options.only or [], dict(options.allow or [])
    if options.profile:
        profiling.write(ROOT / "bench/profiles", options.profile)
        return 0
    stores = ["sqlite", "postgresql"] if options.store == "both" else [options.store]
    if "postgresql" in stores and (reason := why_not()) is not None:
        print(f"{reason}; or measure SQLite alone: --store sqlite", file=sys.stderr)
        return 2
    sizes = sorted({*options.sizes, *([1_000_000] if options.large else [])})
    asked = measuring.wanted({row.what for row in ROWS if not only or row.name in only}, sizes, options.crowd)
    before = machine.free()
    found: dict[str, Found] = {}
    servers: list[str] = []
    for store in stores:
        with measuring.server_for(store) as server:
            if server:
                servers.append(server.psql("SHOW server_version"))
            found[store] = measuring.measure(ROOT, server, asked, options.turns, _say)
    table, lines = report.promises(found, only, allowed)
    about = [f"asked for: script/bench {' '.join(arguments)}".rstrip(), *machine.described(ROOT), *(f"PostgreSQL {one}" for one in servers)]
    about += [f"free capacity {when}: {_shares(shares)}" for when, shares in (("before", before), ("after", machine.free()))]
    text = "\n".join([*(f"- {one}" for one in about), "", *table, "", "What the ratios are made of:", "", *report.costs(found)])
    print(text)
    if options.write:
        RESULTS.write_text(f"# Results\n\nWritten by `script/bench`. {METHOD}\n\n{text}\n", encoding="utf-8")
    over = [line for line in lines if line.over]
    failed = sum(len(one.failed) for one in found.values())
    promised = [line for line in lines if line.allowed is not None]
    print(
        f"\n{len(promised) - len(over)} within, {len(over)} over" + (f", {failed} measurements did not come to their end" if failed else "")
    )
    return 1 if over or failed else 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="script/bench", description="What each step costs, beside what is allowed.")
    parser.add_argument("--sizes", type=_sizes, default=[10_000, 100_000], help="numbers of objects: 10k,100k (the default)")
    parser.add_argument("--large", action="store_true", help="1M objects, too: hours")
    parser.add_argument("--store", choices=["sqlite", "postgresql", "both"], default="both", help="where the database is")
    parser.add_argument("--only", nargs="+", metavar="ROW", choices=[row.name for row in ROWS], help="only these rows: %(choices)s")
    parser.add_argument("--crowd", type=size_of, default=CROWD, help="members of the large group (100k)")
    parser.add_argument(
        "--allow", nargs="+", type=limit_of([row.name for row in ROWS]), metavar="ROW=LIMIT", help="other limits than those promised"
    )
    parser.add_argument("--profile", type=size_of, nargs="?", const=CROWD, metavar="OBJECTS", help="write bench/profiles instead (100k)")
    parser.add_argument("--turns", type=int, choices=range(1, 10), default=3, help="how often what is smaller than 100k is measured (3)")
    parser.add_argument("--no-write", dest="write", action="store_false", help="leave bench/RESULTS.md as it is")
    return parser.parse_args(arguments)


def _sizes(text: str) -> list[int]:
    return [size_of(one) for one in text.split(",")]


def _shares(shares: list[float]) -> str:
    alone, *together = (f"{share:.0%}" for share in shares)
    return f"{alone} of a core for one process, {' + '.join(together)} for one per core"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
