"""`script/bench ad`: a domain through us beside the bare protocol, on one server and in one run.

The server is the lab's Samba, on this machine, with people of 30 attributes; it is made when first asked for and kept in .lab. Ratios are
of wall time, for the server's part is on both sides; each is the median over turns, in which both sides are measured one right behind the
other.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lab import command, packages
from lab.forest import Forest
from lab.samba import Samba, described

from . import ad_work, machine
from .promises import Line, Promise, limit_of, report
from .rows import short
from .sizes import size_of

MEMBERS = 5000
SEED = Path(__file__).with_name("ad_seed.py")


ROWS = (
    Promise(name="import", text="full import of people with 30 attributes / ldapsearch into a file", allowed=2.0),
    Promise(name="delta", text="delta import of 20 changes, beyond one DirSync answer", allowed=0.5, unit="s"),
    Promise(name="delta-cpu", text="CPU of that delta / of the same with a tenth of the people", allowed=1.5),
    Promise(name="joiner", text="values written for one joiner in a group of 5,000", allowed=1),
    Promise(name="joiner-delta", text="members that the next delta tells of", allowed=1),
    Promise(name="creates", text="rate of creates within an export / of the same adds by plain ldap3", allowed=0.85, least=True),
)


def main(root: Path, arguments: list[str]) -> int:
    """Measure, print and write; 1 where a row is over, 2 where nothing can be measured."""
    options = _options(arguments)
    if (reason := packages.why_not()) is not None:
        print(reason, file=sys.stderr)
        return 2
    packages.install(_say)
    packages.ldapsearch(_say)
    only, allowed = options.only or [row.name for row in ROWS], dict(options.allow or [])
    size = 50_000 if options.large else options.people
    creates = options.creates or (10_000 if options.large else 300)
    found: ad_work.Found = {}
    with _forest(root, size) as samba, tempfile.TemporaryDirectory(prefix="metasync-bench-") as folder:
        domain = ad_work.Domain(samba, Path(folder))
        for turn in range(options.turns):
            for names, text, work in (
                (("import",), "full import", lambda: ad_work.reading(domain, found, size)),
                (("delta", "delta-cpu"), "delta", lambda: ad_work.following(domain, found)),
                (("joiner", "joiner-delta"), "one joiner", lambda: ad_work.joining(domain, found)),
                (("creates",), f"{creates:,} creates", lambda: ad_work.creating(domain, found, creates)),
            ):
                if {*names} & {*only}:
                    _say(f"{text}, turn {turn + 1}")
                    work()
    sizes = {"creates": creates}
    lines = [row.line(short(sizes.get(row.name, size)), found[row.name], allowed) for row in ROWS if row.name in only and row.name in found]
    text = _report(root, arguments, lines, found)
    print(text)
    if options.write:
        (root / "bench/RESULTS-ad.md").write_text(text, encoding="utf-8")
    return 1 if any(line.over for line in lines) else 0


def _report(root: Path, arguments: Sequence[str], lines: Sequence[Line], found: ad_work.Found) -> str:
    about = [f"asked for: script/bench ad {' '.join(arguments)}".rstrip(), *machine.described(root)]
    method = "Written by `script/bench ad`. " + (__doc__ or "").split("\n\n")[1]
    names = {row.name for row in ROWS}
    costs = {name: values for name, values in found.items() if name not in names}
    return report("Results: Active Directory", method, about, lines, costs, "step | seconds of each turn", ".2f")


@contextmanager
def _forest(root: Path, people: int) -> Iterator[Samba]:
    """A running forest with so many people; made once, kept stopped."""
    folder = root / ".lab" / f"bench-{people}-{SEED.stat().st_size}"
    forest = Forest.load(folder, "contoso")
    if forest is None:
        _say(f"seeding {people:,} people ...")
        making = folder.with_suffix(".new")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True, mode=0o700)
        plan = command.plans(command.free_address(), False, 0)[0]
        made = command.make(plan, making)
        made.run_seed(SEED, str(people), str(min(people, MEMBERS)))
        made.copy_to(Forest(plan, folder))
        shutil.rmtree(making)
        forest = Forest.load(folder, "contoso")
    assert forest is not None
    forest.start()
    try:
        yield described(forest)
    finally:
        forest.stop()


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="script/bench ad", description="What a domain costs through us, beside the bare protocol.")
    parser.add_argument("--people", type=size_of, default=10_000, help="how many (10k)")
    parser.add_argument("--large", action="store_true", help="50,000 people, and 10,000 creates: an hour")
    parser.add_argument("--creates", type=size_of, help="how many accounts are created on each side (300)")
    parser.add_argument("--turns", type=int, choices=range(1, 10), default=3, help="how often each is measured (3)")
    parser.add_argument("--only", nargs="+", metavar="ROW", choices=[row.name for row in ROWS], help="only these rows: %(choices)s")
    parser.add_argument(
        "--allow", nargs="+", type=limit_of([row.name for row in ROWS]), metavar="ROW=LIMIT", help="other limits than those promised"
    )
    parser.add_argument("--no-write", dest="write", action="store_false", help="leave bench/RESULTS-ad.md as it is")
    return parser.parse_args(arguments)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
