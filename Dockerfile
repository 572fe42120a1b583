# The API as Cloud Run serves it. Sources and lock are all it needs; Cloud Run says the port.
FROM python:3.13-slim
WORKDIR /app
COPY requirements.lock pyproject.toml README.md ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY convergence_orchestration ./convergence_orchestration
RUN pip install --no-cache-dir --no-deps --no-build-isolation .
USER nobody
CMD API_PORT=$PORT exec python -m convergence_orchestration.api
