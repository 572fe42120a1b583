"""What is in deploy/ and beside it, as tests read it."""

import re
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILES = (ROOT / "Dockerfile", DEPLOY / "Dockerfile")
_PIN = re.compile(r"^([a-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)", re.MULTILINE)


def pins(lock: str) -> dict[str, str]:
    """Package and version of each pin of a lock below the root."""
    return dict(_PIN.findall((ROOT / lock).read_text("utf-8")))


@cache
def site() -> dict[str, str]:
    """The variables of deploy/site.env.example."""
    lines = (DEPLOY / "site.env.example").read_text("utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def values(**others: str) -> dict[str, Any]:
    """deploy/helm/values.yaml with the site's variables in it, and others in the place of some."""
    text = (DEPLOY / "helm" / "values.yaml").read_text("utf-8")
    loaded: dict[str, Any] = yaml.safe_load(Template(text).substitute({**site(), **others}))
    return loaded


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """A Dockerfile's instructions in their order: the word and what follows it."""
    text = re.sub(r"^\s*#.*\n", "", dockerfile.read_text("utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    return [
        (word, rest.strip()) for word, _, rest in (line.partition(" ") for line in text.splitlines() if line)
    ]
