"""One pass of synchronisation: only what is dirty, profile by profile, portion by portion; each portion is one transaction.

    newcomers   everything without partner is looked up first, so that rivals are seen whatever the order (`match.Claims`)
    main        scope, merge, match, map, unique values, difference -> one pending row per object
    references  managers and members, once it is known who exists or is about to

Whoever comes to exist in the target, or ceases to, marks those that refer to him; the references are worked after all profiles' main part.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack, suppress

from sqlalchemy import Connection

from metasync import garbage
from metasync.contract import Kind, MetasyncError, Schema, Taken
from metasync.engagement.model import Profile
from metasync.store import codec, directories, dirty, joins, match_keys, problems, replaced, waits
from metasync.store.rows import State
from metasync.synchronising.errors import ObjectError
from metasync.synchronising.joining import Joining
from metasync.synchronising.match import Claims, KeyedLookups, by_hand, keyed
from metasync.synchronising.names import unknown_names
from metasync.synchronising.needs import Key, directories_named, directories_read, directory_needs
from metasync.synchronising.newcomers import Newcomers
from metasync.synchronising.pairs import Pairs
from metasync.synchronising.places import resolve_places
from metasync.synchronising.program import compile_program
from metasync.synchronising.reference_pass import ReferencePass
from metasync.synchronising.replacing import Replacing
from metasync.synchronising.scope import Verdict, judge
from metasync.synchronising.setting import PORTION, Setting, SyncOutcome, stopped
from metasync.synchronising.unique import UniqueValues
from metasync.synchronising.units import Unit
from metasync.synchronising.working import Working
from metasync.synchronising.writing import Writing
from metasync.words import listed
from metasync.workspace import Workspace

ORDER = (Kind.CONTAINER, Kind.USER, Kind.GUEST, Kind.CONTACT, Kind.GROUP)
"""Whoever is referred to comes before whoever refers; within a kind, the order of the document."""
ROUNDS = 5
"""How often a pass looks again at what it has itself made dirty."""


def synchronise(workspace: Workspace, run_id: int, profiles: Collection[str] | None = None) -> SyncOutcome:
    """Bring the pending operations of these profiles (all, if None) up to date."""
    outcome = SyncOutcome()
    schemas = workspace.schemas()
    every = workspace.engagement.profiles.values()
    chosen = [one.name for one in every if profiles is None or one.name in profiles]
    targets = {(one.target, one.target_kind) for one in every if one.name in chosen}
    settings: list[Setting] = []
    unsure: dict[str, str] = {}
    for profile in sorted(every, key=lambda one: ORDER.index(one.target_kind)):
        # Those with the same target are prepared, too: nobody leaves before it is known whether another profile takes hold of him.
        if (profile.target, profile.target_kind) not in targets:
            continue
        missing = not_ready(workspace, profile, schemas)
        try:
            if not missing:
                settings.append(prepare(workspace, run_id, profile, schemas, outcome))
        except MetasyncError as error:
            missing = str(error)
        if missing:
            unsure[profile.name] = missing
    outcome.not_ready.update({name: why for name, why in unsure.items() if name in chosen})
    going = [one for one in settings if one.profile.name in chosen]
    whole = frozenset(one.profile.name for one in going if one.marked_whole)
    for setting in going:
        setting.unsure, setting.whole = frozenset(unsure) & setting.same_target, whole
    workspace.backend.gather_statistics()
    for _ in range(ROUNDS):
        if not sum(MainPass(setting).run() for setting in going):
            break
    workspace.backend.gather_statistics()
    for setting in going:
        ReferencePass(setting).run()
    return outcome


def not_ready(workspace: Workspace, profile: Profile, schemas: Mapping[str, Schema]) -> str:
    """Why a profile cannot be synchronised yet (law 1: unknown is not empty), or ""."""
    with workspace.backend.read() as connection:
        rows = directories.of_engagement(connection, workspace.engagement_id)
        broken = problems.not_imported(connection, workspace.engagement_id)
    every = list(workspace.engagement.directories)
    never = [
        name
        for name in every
        if (row := rows.get(name)) is None or row.completed is None or row.requested is None or schemas.get(name) is None
    ]
    about = (workspace.engagement, workspace.host, profile)
    read = directories_read(*about)
    # What others are named by may be as old as their last complete import.
    known = tuple(dict.fromkeys([*read, *directories_named(*about, schemas)]))
    if missing := [name for name in never if name in known]:
        were = "was" if len(missing) == 1 else "were"
        # One command that helps every profile, where nothing was imported yet.
        command = "metasync import" if never == every else f"metasync import {' '.join(missing)}"
        return f"{listed(missing)} {were} never imported completely; run `{command}`"
    if half := [name for name in read if name in broken]:
        return f"{half[0]} is not imported completely: {broken[half[0]]}; run `metasync import {half[0]}`"
    for name in known:
        row, schema = rows[name], schemas[name]
        assert row.requested is not None
        needs = directory_needs(workspace.engagement, workspace.host, schema, name)
        for kind, attributes in needs.attributes.items():
            lacking = attributes - set(row.requested.get(kind.value, ()))
            if kind.value not in row.requested or lacking:
                what = ", ".join(sorted(lacking)) or "objects of it"
                return f"{name} was imported without {what} of {kind}, which the document needs now; run `metasync import {name} --full`"
        if any(not _looked_up(key, row.keys or {}) for key in needs.keys):
            return f"{name} cannot be searched yet by all that the document matches by now; run `metasync import {name}`"
    return ""


def _looked_up(key: Key, made: Mapping[str, Collection[str] | None]) -> bool:
    """Can objects be found by this key? `made`: the keys that were made of them, and of which kinds (None: of all)."""
    kinds = made.get(key.name, ())
    return kinds is None or (key.kinds is not None and {kind.value for kind in key.kinds} <= set(kinds))


def prepare(workspace: Workspace, run_id: int, profile: Profile, schemas: Mapping[str, Schema], outcome: SyncOutcome) -> Setting:
    """Compile a profile, and mark all of it where that changed what it means. Raises `MetasyncError` where it cannot be synchronised."""
    if wrong := unknown_names(workspace.engagement, workspace.host, schemas, profile):
        raise MetasyncError("; ".join(wrong))
    with workspace.backend.write() as connection:
        setting = compiled(connection, workspace, run_id, profile, schemas, outcome)
        setting.marked_whole = _mark_whole(connection, setting)
    return setting


def compiled(
    connection: Connection,
    workspace: Workspace,
    run_id: int,
    profile: Profile,
    schemas: Mapping[str, Schema],
    outcome: SyncOutcome,
    *,
    pin: bool = True,
) -> Setting:
    """A profile with its programs. Raises `MetasyncError`."""
    programs = {}
    for source in profile.sources:
        places = resolve_places(connection, workspace, profile, source, pin=pin)
        programs[workspace.directory_ids[source]] = compile_program(workspace.engagement, workspace.host, schemas, profile, source, places)
    return Setting(
        workspace=workspace,
        run_id=run_id,
        profile=profile,
        schemas=schemas,
        outcome=outcome,
        now=workspace.backend.now(connection),
        programs=programs,
        hand=by_hand(workspace.engagement, profile, joins.decisions(connection, workspace.engagement_id)),
    )


def _mark_whole(connection: Connection, setting: Setting) -> bool:
    """A revision marks only profiles whose program changed; so does a schema, a pairing file, and a moved container. True if all of each
    object is looked at, references included."""
    basis, of_references = hashlib.sha256(setting.profile.configuration.encode()), hashlib.sha256()
    for name in sorted({*setting.profile.sources, setting.profile.target, *(merge.directory for merge in setting.profile.merge)}):
        schema = codec.encode_schema(setting.schemas[name])
        basis.update(schema)
        of_references.update(schema)
    for program in setting.programs.values():
        basis.update(repr((program.places.under, sorted(program.places.mirror.items()))).encode())
        of_references.update(repr([(one.attribute, one.contributors, one.union, one.mapping) for one in program.references]).encode())
    basis.update(repr(setting.hand.pair_keys).encode())
    for other in (setting.replaced, *setting.successors):
        if other is not None:
            basis.update(other.configuration.encode())
    now = dirty.Basis(whole=basis.hexdigest(), references=of_references.hexdigest())
    before = dirty.basis(connection, setting.engagement_id, setting.profile.name)
    if before == now:
        return False
    if setting.replaced is None:
        replaced.forget(connection, setting.engagement_id, setting.profile.name)
    references = setting.refers and (before is None or before.references != now.references)
    kind = setting.profile.source_kind.value
    dirty.mark_whole(connection, setting.engagement_id, setting.profile.name, setting.source_ids, kind, now, references=references)
    # Where only values are looked at again, whoever refers to somebody who comes or goes has to be told all the same.
    return references or not setting.refers


class MainPass:
    """Scope, merge, match, map, unique values, difference: one profile."""

    def __init__(self, at: Setting) -> None:
        self.at = at
        self.joining, self.working, self.writing = Joining(at), Working(at), Writing(at)
        self.newcomers, self.pairs = Newcomers(at, self.writing), Pairs(at)
        self.replacing = Replacing(at)

    def run(self) -> int:
        """Scope, merge, match, map, unique, difference, of all that is dirty now; how many that were."""
        self.at.loader.look_at_waves_again()
        due = self._marked()
        if not due:
            return 0
        # Their order counts only among those who are not found to be in step.
        compares = self.pairs.possible()
        due = due if compares else self._due()
        number = len(due)
        with ExitStack() as stack:
            connector = None
            if issubclass(self.at.workspace.connector_class(self.at.profile.target), Taken):
                opened = stack.enter_context(self.at.workspace.connector(self.at.profile.target))
                connector = opened if isinstance(opened, Taken) else None
            if self.newcomers.possible():
                self.newcomers.resume()
            # What has to be decided is left: what is in step is passed over, and newcomers are worked in bulk.
            if compares:
                left = self.pairs.run(due)
                due = self._in_order(left)
                number -= len(left) - len(due)
            fresh = set(self.newcomers.among(due)) if self.newcomers.possible() else set()
            # Who is there already comes first: no newcomer takes his place or his name.
            established = self._established([one for one in due if one not in fresh])
            first = [one for one in due if one in established]
            rest = [one for one in due if one not in established and one not in fresh]
            if fresh:
                self._carefully(first, connector)
                joined, refused = self.newcomers.run(fresh, rest, connector)
                if joined and self.pairs.possible():
                    # The tables of joins and states were empty when the pass began: nobody would look things up in them by an index.
                    self.at.workspace.backend.gather_statistics()
                    joined = set(self.pairs.run(sorted(joined)))
                others = refused.union(rest)
                self._carefully([*(one for one in due if one in joined), *(one for one in due if one in others)], connector)
            else:
                self._carefully(first + rest, connector)
        return number

    def _carefully(self, due: list[int], connector: Taken | None) -> None:
        """Object by object, with all that may concern one."""
        if not due:
            return
        claims, rivals = self._claims(due)
        if rivals:
            with self.at.workspace.backend.write() as connection:
                dirty.mark(self.at.workspace.backend, connection, self.at.engagement_id, [(self.at.profile.name, one, 0) for one in rivals])
            concerned = set(rivals) - set(due)
            due = [*due, *(one for one in self._due() if one in concerned)]
            claims, _ = self._claims(due)
        for number, ids in enumerate(self.at.portions(due)):
            with garbage.paused(), self.at.workspace.backend.write("synchronise.unit") as connection:
                self._portion(connection, ids, claims, self._unique(connection, connector))
            self.at.workspace.report(min((number + 1) * PORTION, len(due)), len(due), f"synchronise {self.at.profile.name}")

    def once(self, connection: Connection, ids: Sequence[int]) -> None:
        """These alone, dirty or not, in the caller's transaction."""
        claims, _ = self._claims(ids)
        for some in self.at.portions(ids):
            self._portion(connection, some, claims, self._unique(connection, None))

    def _unique(self, connection: Connection, connector: Taken | None) -> UniqueValues:
        return UniqueValues(
            backend=self.at.workspace.backend,
            connection=connection,
            engagement_id=self.at.engagement_id,
            directory_id=self.at.target_id,
            reserve=self.at.engagement.directories[self.at.profile.target].reserve_names,
            now=self.at.now,
            connector=connector,
            others=self.at.other_kinds,
            sharing=frozenset(one.name for one in (self.at.replaced, *self.at.successors) if one is not None),
        )

    def _established(self, ids: Collection[int]) -> set[int]:
        """Those of these source objects that have a partner in the target, but whoever is gone: another one may take his place."""
        with self.at.workspace.backend.read() as connection:
            return joins.having_partner(connection, ids, self.at.target_id, self.at.profile.target_kind.value)

    def _due(self) -> list[int]:
        backend = self.at.workspace.backend
        with backend.read() as connection:
            due = dirty.due(backend, connection, self.at.engagement_id, self.at.profile.name, self.at.now)
        return [one for one, directory_id in due if directory_id in self.at.programs]

    def _marked(self) -> list[int]:
        """Whoever is due, in no order; also of directories that are no source any more."""
        backend = self.at.workspace.backend
        with backend.read() as connection:
            return dirty.marked(backend, connection, self.at.engagement_id, self.at.profile.name, self.at.now)

    def _in_order(self, ids: Sequence[int]) -> list[int]:
        """Those of them that are of a source, in the order that decides."""
        backend = self.at.workspace.backend
        with backend.read() as connection:
            found = dirty.in_order(backend, connection, ids)
        return [one for one, directory_id in found if directory_id in self.at.programs]

    def _claims(self, due: Sequence[int]) -> tuple[Claims, list[int]]:
        """Look newcomers up before anybody is worked; also, whom they would compete with that is not dirty."""
        claims = Claims()
        sought: set[tuple[int, str, str]] = set()
        if not self.at.profile.match and not self.at.profile.merge:
            return claims, []
        for ids in self.at.portions(due):
            with self.at.workspace.backend.read() as connection:
                found: list[tuple[Unit, KeyedLookups]] = []
                left: list[int] = []
                for unit in self.at.loader.load(connection, ids):
                    self._claim_merges(unit, claims)
                    if unit.target is not None and unit.target.state is not State.GONE:
                        if unit.source.state is State.GONE and unit.target.object_id is not None:
                            left.append(unit.target.object_id)
                        if unit.target.object_id is not None:
                            continue
                    try:
                        environment = unit.environment(self.at.engagement)
                        if judge(unit, environment, self.at.hand.ignored).inside:
                            found.append((unit, keyed(unit.program.lookups(environment))))
                    except ObjectError:
                        continue
                # Whoever was made anew under another anchor may take the place of the deleted one.
                sought |= {(self.at.target_id, *key) for of_object in match_keys.of_objects(connection, left).values() for key in of_object}
                hits = self.at.matching.find(connection, [keys for _, keys in found])
                for unit, keys in found:
                    here, target = (unit.source.directory, unit.source.anchor), self.at.profile.target
                    partners = [one for of_rule in keys for key in of_rule for one in hits.get(key, ())]
                    claims.add(unit, keys, {one.id for one in partners if (*here, target, one.anchor) not in self.at.hand.apart})
                    sought |= {(self.at.target_id, name, value) for of_rule in keys for name, value in of_rule}
        with self.at.workspace.backend.read() as connection:
            waiting = waits.on_keys(connection, [*sought, *claims.merges], but=due)
        return claims, [one for profile, one in waiting if profile == self.at.profile.name]

    def _claim_merges(self, unit: Unit, claims: Claims) -> None:
        with suppress(ObjectError):
            if self.at.profile.merge and judge(unit, unit.environment(self.at.engagement), self.at.hand.ignored).inside:
                self.joining.claim_merges(unit, claims)

    def _portion(self, connection: Connection, ids: list[int], claims: Claims, unique: UniqueValues) -> None:
        units = self.at.loader.load(connection, ids)
        dirty.clean(self.at.workspace.backend, connection, self.at.profile.name, set(ids) - {unit.id for unit in units}, self.at.now)
        existed = self.writing.existing(connection, units)
        judged: list[tuple[Unit, Verdict]] = []
        for unit in units:
            try:
                judged.append((unit, judge(unit, unit.environment(self.at.engagement), self.at.hand.ignored)))
            except ObjectError as error:
                stopped(unit, error)
        inside = [unit for unit, verdict in judged if verdict.inside and not unit.in_flight]
        self.replacing.look(connection, inside)
        self.joining.let_go_of_deleted(connection, [unit for unit in inside if not unit.status])
        self.joining.merge(connection, inside, claims)
        self.joining.match(connection, inside, claims)
        self.replacing.settle(inside)
        self.joining.expect([unit for unit, verdict in judged if verdict.inside and (unit.in_flight or unit.is_provisional)])
        for unit in inside:
            self.replacing.give_way(unit, unique)
        self.working.prepare(unique, inside)
        family = self.working.family(connection, units)
        for unit, verdict in judged:
            try:
                self.working.work(unit, verdict, unique, family)
                self.replacing.replace(unit)
            except ObjectError as error:
                stopped(unit, error)
            family.settle(self.at.profile.name, unit.id, unit.status)
        for unit in self.working.take_back(units, unique):
            family.settle(self.at.profile.name, unit.id, unit.status)
        unique.flush()
        self.writing.write(connection, units, existed, unique.freed)
        self.replacing.tell(connection, units)
