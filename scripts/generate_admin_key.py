"""Make an administrators' key: `python3 scripts/generate_admin_key.py`, or with `--no-prompt` the key alone.

What belongs here: the conversation. The key's form is `keys/token.py`, where it is stored `keys/admin.py`. Written so
that an old Python without the package reads it and is told what to run.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

try:
    from convergence_orchestration.errors import ConvergenceError
    from convergence_orchestration.keys.token import generate_admin_key
    from convergence_orchestration.settings import Environment, load_settings
except (ImportError, SyntaxError):
    sys.exit(
        "Run `make setup` once, then `.venv/bin/python scripts/generate_admin_key.py`: this Python lacks the package."
    )


if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import SecretStr

    from convergence_orchestration.settings import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a key; with a person at the other end say what to do with it and offer to store it. The exit status."""
    options = _parser().parse_args(arguments)
    try:
        overrides = {"environment": options.environment} if options.environment else {}
        settings = load_settings(**overrides)
        key = generate_admin_key(settings.environment)
        if options.no_prompt:
            print(key.get_secret_value())
            return 0
        _explain(key, settings)
        return _offer_to_store(key, settings)
    except ConvergenceError as error:
        print(error.message, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Make an administrators' key. Nothing is stored unless you say so."
    )
    parser.add_argument("--no-prompt", action="store_true", help="print the key alone and ask nothing")
    parser.add_argument(
        "--environment",
        choices=[environment.value for environment in Environment],
        help="the environment the key is for (default: ENVIRONMENT, else development)",
    )
    return parser


def _explain(key: SecretStr, settings: Settings) -> None:
    text = key.get_secret_value()
    print(f"""\
Administrators' key for {settings.environment}, shown this once:

  {text}

Use it in this shell:

  export ADMIN_API_KEY='{text}'

For the API put ADMIN_API_KEY into .env, or store the key as the secret {settings.admin_secret_id} in Secret Manager,
which the API reads when ADMIN_API_KEY is unset. Never commit it, use another one for each environment, and make a new
one every 90 days.
""")


def _offer_to_store(key: SecretStr, settings: Settings) -> int:
    """Store the key if the person says yes; nothing is asked when nobody can answer."""
    if not sys.stdin.isatty():
        return 0
    target = f"secret {settings.admin_secret_id} of project {settings.gcp_project_id}"
    if not _confirmed(f"Store it in Secret Manager now, as the newest version of {target}? [y/N] "):
        print("Not stored.")
        return 0
    return store(key, settings)


def _confirmed(question: str) -> bool:
    print(question, end="", flush=True, file=sys.stderr)
    try:
        return input().strip().lower() in {"y", "yes"}
    except (EOFError, KeyboardInterrupt):
        return False


def store(key: SecretStr, settings: Settings) -> int:
    """Store the key in Secret Manager; the exit status."""
    from convergence_orchestration.cli.secret_manager import stored_as  # noqa: PLC0415 the network is wanted now

    print(f"Stored as {stored_as(settings, key)}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
