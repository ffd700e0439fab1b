"""Approval: a plan may be written only in exactly the form that somebody approved, under the configuration that made it (laws 8 and 9)."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection

from metasync import roles
from metasync.contract import MetasyncError, Operation, RunNotice
from metasync.engagement.model import Approval, Role
from metasync.planning.exporters import exporter_configuration, exporter_of
from metasync.planning.limits import Exceeded, not_lifted
from metasync.planning.plan import PlanSummary, summary
from metasync.store import audit, plans
from metasync.workspace import Workspace

POLICY = "policy: "
"""What the author of an automatic approval begins with; a person's name does not."""


class ApprovalRefused(MetasyncError):
    """The plan cannot be approved as it stands; make a new plan and look at it."""


class LimitExceeded(ApprovalRefused):
    """The plan passes a limit; approve it with `--beyond OPERATION --reason TEXT`, or correct what caused it."""

    def __init__(self, message: str, exceeded: tuple[Exceeded, ...]) -> None:
        super().__init__(message)
        self.exceeded = exceeded


def approve(workspace: Workspace, plan_id: int, *, reason: str, beyond: Collection[Operation] = frozenset()) -> PlanSummary:
    """Let a plan be written. `beyond` lifts the limits of these operations, for this plan alone. Raises `ApprovalRefused`."""
    if not reason.strip():
        raise ApprovalRefused("an approval needs a reason; give one with `--reason TEXT`")
    roles.need(workspace, Role.APPROVER, f"approve plan {plan_id}")
    with workspace.backend.write("approval.approve", durable=True) as connection:
        row = _plan(workspace, connection, plan_id)
        if row.state != "planned":
            raise ApprovalRefused(_words_of_state(row))
        _check_binding(workspace, connection, row)
        left = not_lifted(summary(row).exceeded, frozenset(beyond))
        if left:
            flags = " ".join(f"--beyond {one.operation.value!r}" for one in left)
            raise LimitExceeded(
                f"plan {row.id} of {row.profile} passes a limit: {'; '.join(one.words for one in left)}. "
                f"Approve it with {flags} if that is meant",
                tuple(left),
            )
        _record(workspace, connection, row, author=workspace.author, reason=reason.strip(), beyond=beyond)
        return summary(_plan(workspace, connection, plan_id))


def auto_approve(workspace: Workspace, plan_id: int) -> bool:
    """Approve by policy where the document says so, no limit is passed, and for `first` a person approved this configuration.

    False: it waits for a person, and the plugins were told."""
    with workspace.backend.write("approval.policy", durable=True) as connection:
        row = _plan(workspace, connection, plan_id)
        if row.state != "planned":
            return row.state == "approved"
        author, reason = _policy(workspace, connection, row)
        if author:
            _check_binding(workspace, connection, row)
            _record(workspace, connection, row, author=POLICY + author, reason=reason, beyond=frozenset())
            return True
    notice = RunNotice(
        engagement=workspace.engagement.name,
        run=row.run_id,
        profiles=(row.profile,),
        plan=row.id,
        state=row.state,
        counts=tuple(row.counts.items()),
        text="; ".join(one["words"] for one in row.exceeded),
    )
    workspace.host.tell("metasync_approval_needed", notice=notice)
    return False


def check_approved(workspace: Workspace, connection: Connection, row: plans.PlanRow) -> None:
    """Before the first write: the plan is approved, in this form, under today's configuration (I3). Raises `ApprovalRefused`."""
    if row.state not in ("approved", "exported"):
        raise ApprovalRefused(_words_of_state(row))
    given = plans.approval_of(connection, row.id)
    if given is None or given.hash != row.hash or given.configuration != row.configuration:
        raise ApprovalRefused(f"plan {row.id} of {row.profile} carries no approval that fits it; make a new plan")
    _check_binding(workspace, connection, row)


def standing_approval(
    workspace: Workspace, connection: Connection, profile: str, configuration: str, purpose: str
) -> plans.ApprovalRow | None:
    """The last approval that a person gave this profile or exporter under this configuration."""
    for given in plans.approvals_like(connection, workspace.engagement_id, profile, configuration, purpose):
        if not given.author.startswith(POLICY):
            return given
    return None


def configuration_of(workspace: Workspace, row: plans.PlanRow) -> str:
    """Today's configuration of what made the plan; "" where the document does not have it any more."""
    if row.purpose == "exporter":
        use = exporter_of(workspace, row.profile)
        return exporter_configuration(workspace, use) if use else ""
    profile = workspace.engagement.profiles.get(row.profile)
    return profile.configuration if profile else ""


def _plan(workspace: Workspace, connection: Connection, plan_id: int) -> plans.PlanRow:
    row = plans.get(connection, workspace.engagement_id, plan_id)
    if row is None:
        raise MetasyncError(f"there is no plan {plan_id}; see `metasync runs`")
    return row


def _words_of_state(row: plans.PlanRow) -> str:
    return {
        "planned": f"plan {row.id} of {row.profile} is not approved; approve it with `metasync approve {row.id} --reason TEXT`",
        "approved": f"plan {row.id} of {row.profile} is approved already; write it with `metasync export {row.id}`",
        "exported": f"plan {row.id} of {row.profile} was exported already",
        "superseded": f"plan {row.id} of {row.profile} gave way to a newer plan; look at that one",
        "empty": f"plan {row.id} of {row.profile} is empty: there is nothing to approve",
    }.get(row.state, f"plan {row.id} of {row.profile} is {row.state}")


def _check_binding(workspace: Workspace, connection: Connection, row: plans.PlanRow) -> None:
    """The plan's rows are those that were hashed, and the configuration is the one that made them."""
    profile = workspace.engagement.profiles.get(row.profile)
    if profile is not None and profile.staging:
        raise ApprovalRefused(
            f"{row.profile} is in staging: it plans and never exports. Remove `mode: staging`, load the document, and plan again"
        )
    if configuration_of(workspace, row) != row.configuration:
        raise ApprovalRefused(
            f"the configuration of {row.profile} changed after plan {row.id} was made "
            f"(revision {row.revision}, now {workspace.engagement.revision}); plan again and look at the new plan"
        )
    if plans.content_hash(connection, row.id) != row.hash:
        raise ApprovalRefused(f"the changes of plan {row.id} are not those that were frozen: somebody edited the database; make a new plan")


def _policy(workspace: Workspace, connection: Connection, row: plans.PlanRow) -> tuple[str, str]:
    """(policy, reason) by which the plan is approved now; ("", "") where a person must."""
    if row.exceeded or configuration_of(workspace, row) != row.configuration:
        return "", ""
    if row.purpose == "exporter":
        given = standing_approval(workspace, connection, row.profile, row.configuration, row.purpose)
        return ("standing", f"standing approval by {given.author} of {given.at:%Y-%m-%d}: {given.reason}") if given else ("", "")
    profile = workspace.engagement.profiles.get(row.profile)
    if profile is None or profile.staging:
        return "", ""
    if profile.approval is Approval.NEVER:
        return "never", "`approval: never`, and within all limits"
    if profile.approval is Approval.FIRST and row.purpose == "synchronise":
        given = standing_approval(workspace, connection, row.profile, row.configuration, row.purpose)
        if given:
            return (
                "first",
                f"`approval: first`, {given.author} approved plan {given.plan_id} of the same configuration, and within all limits",
            )
    return "", ""


def _record(
    workspace: Workspace, connection: Connection, row: plans.PlanRow, *, author: str, reason: str, beyond: Collection[Operation]
) -> None:
    lifted = sorted(one.value for one in beyond)
    plans.approve(
        connection,
        {
            "engagement_id": workspace.engagement_id,
            "plan_id": row.id,
            "profile": row.profile,
            "hash": row.hash,
            "configuration": row.configuration,
            "beyond": lifted,
            "reason": reason,
            "author": author,
            "at": workspace.backend.now(connection),
        },
    )
    detail = {"hash": row.hash, "configuration": row.configuration, "counts": dict(row.counts), "beyond": lifted, "reason": reason}
    audit.append(connection, workspace.engagement_id, author, "approve", f"plan {row.id} of {row.profile}", detail)
