"""Planning: what is pending is frozen, judged against limits, approved, exported by `metasync.exporting`, and taken back by an undo."""

from metasync.planning.approval import ApprovalRefused, LimitExceeded, approve, auto_approve
from metasync.planning.exporters import freeze_exporter
from metasync.planning.holds import release
from metasync.planning.limits import Exceeded
from metasync.planning.plan import PlanSummary, freeze
from metasync.planning.undo import plan_undo, plan_undo_for

__all__ = [
    "ApprovalRefused",
    "Exceeded",
    "LimitExceeded",
    "PlanSummary",
    "approve",
    "auto_approve",
    "freeze",
    "freeze_exporter",
    "plan_undo",
    "plan_undo_for",
    "release",
]
