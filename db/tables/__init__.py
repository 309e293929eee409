"""Our tables, all in the schema `drumbeat`. Times are timestamptz; deadlines are in run time (domain/clock.py)."""

from db.tables.base import SCHEMA, Base, Json
from db.tables.messages import (
    ACKNOWLEDGEMENTS,
    ATTEMPTS,
    AWAITS_HAND_OVER,
    DEFERRALS,
    MESSAGES,
    UNFINISHED,
    UNOPENED,
    Acknowledgement,
    Attempt,
    Click,
    Deferral,
    Message,
    ReportedAttempt,
)
from db.tables.operators import ApiKey, AuditEntry, SweepCount
from db.tables.people import Consent, Device, Suppression
from db.tables.runs import WINDOW_OPENED, WINDOW_UNOPENED, AudienceRow, MissedRun, Outcome, Run

__all__ = [
    "ACKNOWLEDGEMENTS",
    "ATTEMPTS",
    "AWAITS_HAND_OVER",
    "DEFERRALS",
    "MESSAGES",
    "SCHEMA",
    "UNFINISHED",
    "UNOPENED",
    "WINDOW_OPENED",
    "WINDOW_UNOPENED",
    "Acknowledgement",
    "ApiKey",
    "Attempt",
    "AudienceRow",
    "AuditEntry",
    "Base",
    "Click",
    "Consent",
    "Deferral",
    "Device",
    "Json",
    "Message",
    "MissedRun",
    "Outcome",
    "ReportedAttempt",
    "Run",
    "Suppression",
    "SweepCount",
]
