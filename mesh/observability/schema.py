"""The names of every metric and of its labels; Istio's own where Istio has one."""

from __future__ import annotations

REQUESTS = "istio_requests"
REQUEST_DURATION = "istio_request_duration_milliseconds"
REQUEST_LABELS = ("reporter", "source_workload", "destination_workload", "method", "code")
DURATION_LABELS = ("destination_workload", "method")
DURATION_BUCKETS_MS = (1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000)

STREAMS_OPEN = "palestra_streams_open"
UNEXPECTED_ERRORS = "palestra_unexpected_errors"
EVENTS_HANDLED = "palestra_events_handled"
REVOCATIONS_KNOWN = "palestra_revocations_known"
REVOCATIONS_SILENCE = "palestra_revocations_silence_seconds"
AUDIT_LOST = "palestra_audit_records_lost"
LIMIT_DECISIONS = "palestra_limit_decisions"
LIMIT_QUESTIONS_UNREADABLE = "palestra_limit_questions_unreadable"
LIMITER_AWAY = "palestra_limiter_redis_lost"
LETTERS = "palestra_letters"
SIGN_INS_THROTTLED = "palestra_sign_ins_throttled"
