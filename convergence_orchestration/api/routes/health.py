"""Health and metrics: unauthenticated, never limited, cheap however often a probe asks."""

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from convergence_orchestration import __version__
from convergence_orchestration.api import metrics
from convergence_orchestration.api.bodies import Health, Readiness
from convergence_orchestration.api.services import services_of

router = APIRouter(tags=["health"])


@router.get("/health", summary="Is the process there?")
@router.get("/api/v1/health", summary="Is the process there?")
@router.get("/health/live", summary="Does the process answer?")
async def health(request: Request) -> Health:
    """200 as long as the process answers; says nothing about what it needs, which /health/ready does."""
    return Health(version=__version__, environment=services_of(request).settings.environment)


@router.head("/health", include_in_schema=False)
@router.head("/api/v1/health", include_in_schema=False)
@router.head("/health/live", include_in_schema=False)
async def health_head() -> Response:
    """The same without a body."""
    return Response(media_type="application/json")


@router.get(
    "/health/ready",
    summary="Is what the API needs there?",
    responses={503: {"model": Readiness, "description": "Something is not healthy, or nobody could look."}},
    response_model=Readiness,
)
async def ready(request: Request) -> JSONResponse:
    """Key index, Dagster and BigQuery, each with its age; answers are at most 3 s old."""
    readiness = await services_of(request).readiness.now()
    return JSONResponse(readiness.model_dump(mode="json"), 200 if readiness.status == "ready" else 503)


@router.get("/metrics", summary="Prometheus metrics", response_class=Response)
async def metrics_text(request: Request) -> Response:
    """Requests, latencies, launched runs, and the key index's age."""
    return Response(services_of(request).metrics.text(), media_type=metrics.CONTENT_TYPE)
