"""Jobs that end in each way a run can end, for the real Dagster of test_dagster_contract.py."""

import time
from typing import Any

import dagster as dg

from convergence_orchestration.tenancy.launches import FULFIL_JOB, FULFIL_OP

AGAIN_ONCE = dg.RetryPolicy(max_retries=1, delay=0.1)


class WithoutCredentials(dg.ConfigurableResource["WithoutCredentials"]):
    def setup_for_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002 Dagster's signature
        raise RuntimeError("no credentials")


@dg.op
def succeed(context: dg.OpExecutionContext) -> None:
    metadata: dict[str, Any] = {
        "action": "created",
        "rows": 2**40,
        "ratio": 0.5,
        "is_new": True,
        "link": dg.MetadataValue.url("https://example.com"),
        "facts": dg.MetadataValue.json({"a": [1]}),
        "columns": dg.TableSchema([dg.TableColumn("a", "string")]),
    }
    context.log_event(dg.AssetMaterialization(["tenant", "step_logs"], partition="acme", metadata=metadata))


@dg.op(retry_policy=AGAIN_ONCE)
def refuse() -> None:
    raise dg.Failure(
        "Choose another tenant id: acme is taken.\nAnd more.",
        metadata={"code": "tenant_exists", "details": dg.JsonMetadataValue({"claimed_by": "req_x"})},
        allow_retries=False,
    )


@dg.op(retry_policy=AGAIN_ONCE)
def give_up() -> None:
    raise dg.Failure(
        "Try again: BigQuery is down.",
        metadata={"code": "unavailable", "details": dg.JsonMetadataValue({})},
        allow_retries=True,
    )


@dg.op
def crash() -> None:
    try:
        int("inner")
    except ValueError as error:
        raise ValueError("the value is wrong\nsecond line") from error


@dg.op
def connect(without_credentials: WithoutCredentials) -> None: ...


@dg.op
def hang() -> None:
    time.sleep(600)


@dg.op(config_schema={"tenant_id": str})
def configured() -> None: ...


@dg.op(name=FULFIL_OP, config_schema={"request_ids": [str]})
def fulfil(context: dg.OpExecutionContext) -> None:
    for request_id in context.op_config["request_ids"]:
        context.log_event(dg.AssetMaterialization(["tenant", "step_logs"], partition=request_id))


def job_of(op: dg.OpDefinition) -> dg.JobDefinition:
    return dg.GraphDefinition(name=f"{op.name}_job", node_defs=[op]).to_job()


defs = dg.Definitions(
    jobs=[
        *(job_of(op) for op in (succeed, refuse, give_up, crash, connect, hang, configured)),
        dg.GraphDefinition(name=FULFIL_JOB, node_defs=[fulfil]).to_job(),
    ],
    resources={"without_credentials": WithoutCredentials()},
    executor=dg.in_process_executor,
)
