"""What the API answers about batches, for tests of commands."""

from typing import Any

BATCH_ID = "bat_" + "a2" * 13
OTHER_BATCH_ID = "bat_" + "b3" * 13


def accepted(count: int, *refused: dict[str, object], batch_id: str = BATCH_ID) -> tuple[int, dict[str, Any]]:
    return 202, {
        "batch_id": batch_id,
        "accepted": count,
        "refused": list(refused),
        "requests": [],
        "run_id": "run-1",
        "run_url": "http://dagster/runs/run-1",
        "message": "They are being made.",
    }


def a_refusal(index: int, tenant_id: str = "acmecorp") -> dict[str, object]:
    message = f"Choose another id: {tenant_id} is taken."
    return {"index": index, "tenant_id": tenant_id, "code": "tenant_exists", "message": message}


def status(
    *,
    requested: int = 0,
    running: int = 0,
    done: int = 0,
    failed: int = 0,
    failures: list[dict[str, Any]] | None = None,
    is_finished: bool | None = None,
    batch_id: str = BATCH_ID,
) -> tuple[int, dict[str, Any]]:
    return 200, {
        "batch_id": batch_id,
        "total": requested + running + done + failed,
        "counts": {"REQUESTED": requested, "RUNNING": running, "DONE": done, "FAILED": failed},
        "is_finished": requested + running == 0 if is_finished is None else is_finished,
        "requested_at": "2026-11-23T08:00:00.5Z",
        "updated_at": "2026-11-23T08:01:00Z",
        "failures": failures or [],
    }


def a_failure(tenant_id: str = "acmecorp", retry_at: str | None = None) -> dict[str, Any]:
    return {
        "tenant_id": tenant_id,
        "request_id": "req_" + "a2" * 13,
        "error_code": "permission_denied",
        "reason": "Grant the role: BigQuery refused.",
        "next": {"step": "NOTHING", "sentence": "Nothing by itself.", "retry_at": retry_at},
    }
