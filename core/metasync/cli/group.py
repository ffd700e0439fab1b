"""The group of all verbs, in sections; those that plugins bring along come last."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

import click

from metasync import __version__, service
from metasync.cli.session import Session, common_options, take_common
from metasync.contract import MetasyncError

SECTIONS: dict[str, tuple[str, ...]] = {
    "Set-up": ("demo", "init", "check", "load", "test", "doctor", "migrate"),
    "The job": ("import", "plan", "approve", "export", "confirm", "run", "pause", "resume", "stop", "undo", "release"),
    "Looking and deciding": ("explain", "objects", "problems", "runs", "show", "join", "unjoin", "ignore", "wave"),
    "Long-running": ("up", "worker", "scheduler"),
    "Keeping": ("plugin", "secrets", "audit"),
}

OTHER_WORDS = {
    "apply": "export",
    "diff": "plan",
    "history": "runs",
    "log": "runs",
    "preview": "plan",
    "rollback": "undo",
    "status": "runs",
    "sync": "run",
    "synchronise": "run",
    "synchronize": "run",
    "validate": "check",
}
"""What other tools call a verb -> ours."""


class Metasync(click.Group):
    """All verbs, in sections; those of plugins last."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        own = [name for names in SECTIONS.values() for name in names]
        return own + [name for name in self._from_plugins(ctx) if name not in own]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        return own or self._from_plugins(ctx).get(cmd_name)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            other = OTHER_WORDS.get(args[0].lower())
            near = [other] if other else get_close_matches(args[0], self.list_commands(ctx), n=2, cutoff=0.6)
            meant = f"Did you mean {' or '.join(f'`metasync {name}`' for name in near)}?" if near else "See `metasync --help`."
            raise click.UsageError(f"{error.message} {meant}", ctx) from None

    def invoke(self, ctx: click.Context) -> Any:
        take_common(ctx)
        return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        plugins = self._from_plugins(ctx)
        sections = {**SECTIONS, "Of plugins": tuple(sorted(plugins))}
        for title, names in sections.items():
            rows = [(name, command.get_short_help_str(60)) for name in names if (command := self.get_command(ctx, name)) is not None]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def _from_plugins(self, ctx: click.Context) -> dict[str, click.Command]:
        session = ctx.find_object(Session) or Session()
        engagement = ctx.params.get("engagement") or session.engagement
        try:
            return dict(service.commands(service.Settings(engagement=engagement)))
        except MetasyncError:
            return {}  # a document that cannot be used: the verb that needs it says why


@click.group(
    cls=Metasync,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100, "show_default": True},
    epilog="Begin with `metasync demo`, or with `metasync init`. Every verb has examples: `metasync plan --help`.",
)
@click.version_option(__version__, message="metasync %(version)s")
def metasync() -> None:
    """Keep users, groups and contacts in step between directories.

    Import, see in a plan exactly what would change, approve, export, confirm; explain every value; undo.
    """


metasync.params.extend(common_options())
