"""Faults for the length of one `with`, in the file that a running emulator reads."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import yaml

from convergence_orchestration_tests.emulators import Emulator


@contextmanager
def faults(emulator: Emulator, *rules: Mapping[str, object]) -> Iterator[None]:
    """The emulator's calls meet `rules` (see local_gcp/faults.py) inside, and none afterwards."""
    emulator.faults_file.write_text(yaml.safe_dump([dict(rule) for rule in rules]))
    try:
        yield
    finally:
        emulator.faults_file.unlink()
