#!/usr/bin/env bash
# The guide's staging suite against $STAGING_URL, with ADMIN_API_KEY: see `convergence suite staging --help`.
set -euo pipefail
exec "$(dirname "$0")/../.venv/bin/convergence" suite staging "$@"
