"""What must hold at a site, by the names of the invariants. Looks only; each finding is one line that begins with its sort."""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path

from sqlalchemy import func, select

from metasync.store import audit
from metasync.store.rows import Status
from metasync.store.tables import approval, change, directory, object_, plan, problem, run, sync_state

from .site import Site
from .sites import CountingSite

SORTS = (
    "lost (I1)",
    "not removed (I1)",
    "duplicated (I2)",
    "unapproved (I3)",
    "wrong delete (I4)",
    "states (I5)",
    "audit (I6)",
    "canary (I7)",
    "not recovered (I9)",
)
UNWRITTEN = ("approved", "in_flight")
WRITTEN = ("in_flight", "written", "confirmed", "not_reimported")


def at_rest(site: Site, *, elsewhere: Path | None = None) -> list[str]:
    """Everything; only to be asked after a run with nothing armed. `elsewhere`: another folder that must not hold a secret."""
    return [*target(site), *ledger(site), *states(site), *audited(site), *canaries(site, elsewhere)]


def target(site: Site) -> list[str]:
    """The target is what HR's list says, value by value."""
    found: list[str] = []
    rows = site.listed()
    numbers = Counter(row["number"] for row in rows)
    found += [f"lost (I1): {key} is not in the target" for key in sorted(site.people.keys() - numbers.keys())]
    found += [f"not removed (I1): {key} is in the target" for key in sorted(numbers.keys() - site.people.keys() - site.not_ours)]
    found += [f"duplicated (I2): {key} is in the target {count} times" for key, count in sorted(numbers.items()) if count > 1]
    for row in rows:
        person = site.people.get(row["number"])
        shown = {name: row[name] for name in ("name", "mail", "manager")}
        if person is not None and shown != (expected := {name: person[name] for name in shown}):
            found.append(f"lost (I1): {row['number']} is {shown}, not {expected}")
    if len({row["mark"] for row in rows}) != len(rows):
        found.append("duplicated (I2): two objects of the target have the same mark")
    return found + site.wrong_besides()


def ledger(site: Site) -> list[str]:
    """Nothing is on its way, nothing was written that nobody approved, nothing stands as an error, and no run is open."""
    found: list[str] = []
    with site.database() as connection:
        query = select(change.c.label, change.c.operation, change.c.state).where(change.c.state.in_(UNWRITTEN))
        found += [f"lost (I1): {row.operation} of {row.label} is still {row.state}" for row in connection.execute(query)]
        found += approved(site)
        # What an undo could not take back stands for people to read, and what a connector did wrong until the next export.
        lasting = problem.c.area.not_in(("undo",)) & problem.c.code.not_in(("connector",))
        wrong = connection.execute(select(problem.c.area, problem.c.text).where(problem.c.severity == "error", lasting))
        found += [f"not recovered (I9): {row.area}: {row.text}" for row in wrong]
        open_runs = connection.execute(select(run.c.id).where(run.c.state == "running")).scalars().all()
        found += [f"not recovered (I9): run {number} never ended" for number in open_runs]
    return found


def approved_tags(site: Site) -> set[str]:
    """The tags of all changes of plans that were approved in the form that they have."""
    query = select(change.c.tag).join(plan, plan.c.id == change.c.plan_id).join(approval, approval.c.plan_id == plan.c.id)
    with site.database() as connection:
        return set(connection.execute(query.where(approval.c.hash == plan.c.hash)).scalars())


def approved(site: Site) -> list[str]:
    """Everything that was written is of a plan that was approved in the form that it has."""
    columns = change.c.id, change.c.label, change.c.tag, plan.c.hash, approval.c.hash.label("approved")
    query = select(*columns).join(plan, plan.c.id == change.c.plan_id).outerjoin(approval, approval.c.plan_id == plan.c.id)
    with site.database() as connection:
        rows = connection.execute(query.where(change.c.state.in_(WRITTEN))).all()
        every = {row.tag for row in connection.execute(query) if row.approved == row.hash}
    good = {row.id for row in rows if row.approved == row.hash}
    found = [f"unapproved (I3): {row.label}" for row in rows if row.id not in good]
    if isinstance(site, CountingSite) and site.counts.file.exists():
        told = site.counts.by_tag().keys() - every - site.approved_before
        found += [f"unapproved (I3): the target was told {tag}" for tag in sorted(told)]
    return found


def states(site: Site) -> list[str]:
    """Every object of HR's is in exactly one state per profile, with a reason in words."""
    kinds = {"user", "group"}
    query = (
        select(object_.c.label, func.count(sync_state.c.object_id), func.min(sync_state.c.status), func.min(sync_state.c.reason))
        .join(directory, directory.c.id == object_.c.directory_id)
        .outerjoin(sync_state, sync_state.c.object_id == object_.c.id)
        .where(directory.c.name == "hr", object_.c.kind.in_(kinds))
        .group_by(object_.c.id, object_.c.label)
    )
    known = {one.value for one in Status}
    with site.database() as connection:
        rows = connection.execute(query).all()
    found = [f"states (I5): {label} is in {number} states" for label, number, _, _ in rows if number != 1]
    return found + [f"states (I5): {label} has no reason" for label, _, status, why in rows if status in known and not (why or "").strip()]


def audited(site: Site) -> list[str]:
    """The audit log is whole."""
    with site.database() as connection:
        return [f"audit (I6): {one}" for one in audit.verify(connection)]


def canaries(site: Site, elsewhere: Path | None = None) -> list[str]:
    """No file and no output holds a secret as it was typed."""
    words = [word.encode() for word in site.canaries()]
    folders = [site.folder, *([elsewhere] if elsewhere else [])]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    held = []
    for path in files:
        # A server that runs removes files of its own meanwhile.
        with contextlib.suppress(FileNotFoundError):
            content = path.read_bytes()
            held += [path.name] if any(word in content for word in words) else []
    return [f"canary (I7): {name}" for name in (*held, *site.leaks)]
