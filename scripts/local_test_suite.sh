#!/usr/bin/env bash
# The guide's local suite against $API_URL, with ADMIN_API_KEY: see `convergence suite local --help`.
set -euo pipefail
exec "$(dirname "$0")/../.venv/bin/convergence" suite local "$@"
