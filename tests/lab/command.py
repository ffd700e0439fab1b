"""What `script/lab` does: up, down, status. Each can be repeated without harm."""

from __future__ import annotations

import argparse
import hashlib
import ipaddress
import json
import shutil
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from . import trust
from .forest import LAYOUT, SERVICE_ACCOUNT, Forest, Plan
from .packages import LabError, install

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_FOLDER = ROOT / ".lab"
NAMES = ("contoso", "fabrikam")
FIRST_ADDRESS = "127.0.0.11"
PEOPLE = 50
TRUSTING = "trusting"
"""The file in a forest's folder that says that it was made with a trust."""


def say(text: str) -> None:
    """To people, not into a program's input."""
    print(text, file=sys.stderr, flush=True)


def plans(first: str, two: bool, people: int, *, trusting: bool = False) -> list[Plan]:
    """One or two forests on neighbouring addresses; each forwards names that it does not know to the other, unless they trust each other:
    then it knows what it needs, and what neither knows would go back and forth."""
    address = ipaddress.IPv4Address(first)
    if not address.is_loopback:
        raise LabError(f"{first} is not a loopback address; choose one of 127.0.0.0/8")
    addresses = [str(address), str(address + 1)]
    others = ["", ""] if trusting else addresses[::-1]
    every = [Plan(name=name, address=addresses[i], forwarder=others[i], people=people) for i, name in enumerate(NAMES)]
    return every if two else every[:1]


def in_use(address: str) -> bool:
    """Somebody answers there already: another lab, or a real domain controller."""
    try:
        socket.create_connection((address, 636), timeout=2).close()
    except OSError:
        return False
    return True


def free_address(begin: str = FIRST_ADDRESS) -> str:
    """The first pair of neighbouring addresses, from this one on, where nobody answers."""
    first = ipaddress.IPv4Address(begin)
    for step in range(0, 200, 2):
        if not in_use(str(first + step)) and not in_use(str(first + step + 1)):
            return str(first + step)
    raise LabError("every loopback address that was tried is in use; stop the labs that nobody needs with `script/lab down`")


def pristine_folder(*plans: Plan, addressed: bool = False) -> Path:
    """Where the untouched copy of such a forest is kept, for every lab of this repository; of two forests: of both, trusting each other.
    `addressed`: of this very address, which its DNS tells to others."""
    sources = b"".join((Path(__file__).with_name(name)).read_bytes() for name in ("seed.py", "forest.py"))
    words = " ".join(f"{plan.name} {plan.people} {f'{plan.address} {plan.forwarder}' if addressed else ''}" for plan in plans)
    key = hashlib.sha256(sources + f"{LAYOUT} {words}".encode()).hexdigest()[:12]
    return DEFAULT_FOLDER / "pristine" / key


def make(plan: Plan, folder: Path, *, addressed: bool = False) -> Forest:
    """A forest in its first state: a copy of the pristine one, which is made where there is none."""
    forest = Forest(plan, folder)
    store = pristine_folder(plan, addressed=addressed)
    original = Forest.load(store, plan.name)
    if original is None:
        say(f"provisioning {plan.domain} ...")
        fresh = Forest(plan, store.with_name(f"{store.name}.new-{plan.address}"))
        shutil.rmtree(fresh.folder.parent, ignore_errors=True)
        fresh.folder.parent.mkdir(parents=True, mode=0o700)
        fresh.provision()
        fresh.start()  # makes the TLS key
        fresh.stop()
        original = Forest(plan, store)
        fresh.copy_to(original)
        shutil.rmtree(fresh.folder.parent)
    original.copy_to(forest)
    return forest


def make_trusting(pair: Sequence[Plan], folder: Path) -> None:
    """Two forests that trust each other, in their first state: copies of the pristine ones, which are made where there are none."""
    store = pristine_folder(*pair, addressed=True)
    if any(Forest.load(store, plan.name) is None for plan in pair):
        building = store.with_name(f"{store.name}.new")

        def again() -> list[Forest]:
            for forest in standing(building):
                forest.stop()
            shutil.rmtree(building, ignore_errors=True)
            made = [make(plan, building, addressed=True) for plan in pair]
            for forest in made:
                forest.start()
            return made

        say(f"{' and '.join(plan.domain for plan in pair)} shall trust each other ...")
        try:
            for forest in trust.make(again, say):
                (forest.folder / TRUSTING).touch()
                forest.stop()
                forest.copy_to(Forest(forest.plan, store))
        finally:
            down(building, remove=True)
            shutil.rmtree(building, ignore_errors=True)
    for plan in pair:
        Forest(plan, store).copy_to(Forest(plan, folder))


def up(
    folder: Path, *, two: bool = False, first: str = FIRST_ADDRESS, people: int = PEOPLE, fresh: bool = False, trusting: bool = False
) -> list[Forest]:
    """Have the forests running. `fresh` puts them back into their first state before; `trusting`: two, that trust each other."""
    install(say)
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    forests: list[Forest] = []
    pair = plans(first, two or trusting, people, trusting=trusting)
    if trusting:
        there = [Forest.load(folder, plan.name) for plan in pair]
        if fresh or not any(there):
            for old in there:
                if old is not None:
                    old.stop()
            if busy := [plan.address for plan in pair if in_use(plan.address)]:
                raise LabError(f"{busy[0]} is in use by another lab; stop that one, or choose another address with `--address`")
            make_trusting(pair, folder)
            fresh = False
        elif any(one is None or not (one.folder / TRUSTING).exists() for one in there):
            raise LabError("the forests that stand here do not trust each other; put them back with `--fresh`, or use another `--folder`")
    for plan in pair:
        forest = Forest.load(folder, plan.name)
        if forest is not None and fresh:
            forest.stop()
            forest = None
        if (forest is None or not forest.running()) and in_use(forest.plan.address if forest else plan.address):
            raise LabError(f"{plan.address} is in use by another lab; stop that one, or choose another address with `--address`")
        if forest is None:
            forest = make(plan, folder)
        forest.start()
        forests.append(forest)
    return forests


def standing(folder: Path) -> list[Forest]:
    """The forests of this folder, running or not."""
    return [forest for name in NAMES if (forest := Forest.load(folder.resolve(), name)) is not None]


def down(folder: Path, *, remove: bool = False) -> list[Forest]:
    """Stop what runs there; returns what was stopped. `remove` forgets the forests."""
    stopped = []
    for forest in standing(folder):
        if forest.stop():
            stopped.append(forest)
        if remove:
            shutil.rmtree(forest.folder)
    return stopped


def show(forest: Forest) -> str:
    """How to bind, for a person."""
    plan = forest.plan
    state = f"runs, process {forest.pid()}" if forest.running() else "is stopped"
    lines = [
        f"{plan.domain} {state}",
        f"  server    {plan.address} (LDAPS 636, StartTLS 389); its certificate names {plan.host}",
        f"  base      {plan.base}",
        f"  CA file   {forest.ca}",
    ]
    lines += [f"  bind      {a}@{plan.domain}, password in {forest.password_file(a)}" for a in (SERVICE_ACCOUNT, "Administrator")]
    return "\n".join(lines)


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="script/lab", description="Real Active Directory forests (Samba) on this machine's loopback addresses, for tests and demos."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="up | down | status")
    verb_up = verbs.add_parser("up", help="install what is missing, provision, seed and start; prints how to bind")
    verb_up.add_argument("--two", action="store_true", help="also fabrikam.test, on the next address")
    verb_up.add_argument("--trust", action="store_true", help="both, with a forest trust in both directions, which is made once and kept")
    verb_up.add_argument("--seed", type=int, default=PEOPLE, metavar="N", help=f"people in each new forest (default {PEOPLE})")
    verb_up.add_argument("--address", default=FIRST_ADDRESS, help=f"loopback address of contoso.test (default {FIRST_ADDRESS})")
    verb_up.add_argument("--fresh", action="store_true", help="put the forests back into their first state")
    verb_down = verbs.add_parser("down", help="stop what `up` started in this folder")
    verb_down.add_argument("--remove", action="store_true", help="also forget the forests and everything in them")
    verb_status = verbs.add_parser("status", help="what runs, and how to bind; exit 3 if nothing runs")
    for verb in (verb_up, verb_down, verb_status):
        verb.add_argument(
            "--folder", type=Path, default=DEFAULT_FOLDER, metavar="DIR", help="where the lab's state is (default .lab in the repository)"
        )
        verb.add_argument("--json", action="store_true", help="for programs")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 failed (with the reason), 2 bad usage, 3 nothing runs."""
    options = arguments().parse_args(argv)
    code = 0
    try:
        if options.verb == "up":
            up(options.folder, two=options.two, first=options.address, people=options.seed, fresh=options.fresh, trusting=options.trust)
        elif options.verb == "down":
            down(options.folder, remove=options.remove)
        forests = standing(options.folder)
        if options.verb == "status" and not any(forest.running() for forest in forests):
            code = 3
    except (LabError, ValueError, OSError) as error:
        say(f"script/lab: {error}")
        return 1
    if options.json:
        print(json.dumps([forest.binding() for forest in forests], indent=1))
    else:
        print("\n".join(show(forest) for forest in forests) or "no forest here; `script/lab up` makes one")
    return code
