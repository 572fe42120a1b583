# The API as Cloud Run serves it: what it imports and nothing of Dagster. Cloud Build makes it of this directory.
FROM python:3.13-slim AS build
WORKDIR /build
COPY deploy/locks/build.lock deploy/locks/api.lock ./
RUN pip install --no-cache-dir --require-hashes -r build.lock \
    && python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --require-hashes -r api.lock
COPY pyproject.toml README.md ./
COPY convergence_orchestration ./convergence_orchestration
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /venv/bin/pip install --no-cache-dir --no-deps /wheels/*.whl

FROM python:3.13-slim
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1
WORKDIR /app
# nobody, by number: so that Kubernetes, too, can see that it is not root
USER 65534:65534
# Cloud Run says the port
CMD ["/bin/sh", "-c", "API_PORT=$PORT exec python -m convergence_orchestration.api"]
