"""The whole life of a multi-tenant BigQuery platform as one Dagster code location.

Only the version lives here; `definitions.py` is what Dagster loads and `cli.py` what a person types.
"""

from importlib.metadata import version

__version__ = version("convergence-orchestration")
