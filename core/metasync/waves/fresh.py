"""What is said of people is said of them as they were imported last: everything dirty is synchronised first, as a plan does it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from metasync.runs.record import recorded
from metasync.synchronising import synchronise
from metasync.waves import membership
from metasync.workspace import Workspace


@contextmanager
def up_to_date(workspace: Workspace, what: str) -> Iterator[Mapping[str, str]]:
    """Profile -> why it could not be synchronised. Nobody else works on the engagement meanwhile; nothing is written to a directory."""
    with recorded(workspace, "wave", [what]) as run:
        with run.step("synchronise", what) as (step, inside):
            membership.refresh(inside, run.id)
            outcome = synchronise(inside, run.id)
            step.text = f"{outcome.looked_at} looked at, {outcome.pending} with changes"
        yield outcome.not_ready
