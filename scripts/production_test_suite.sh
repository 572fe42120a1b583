#!/usr/bin/env bash
# The guide's production suite against $PROD_URL, with ADMIN_API_KEY: see `convergence suite production --help`.
set -euo pipefail
exec "$(dirname "$0")/../.venv/bin/convergence" suite production "$@"
