import os
from pathlib import Path

from convergence_orchestration.local_platform.running import nothing_runs_in
from convergence_orchestration_tests.local_platform.builders import a_directory


def test_whoever_looks_in_the_wrong_place_is_told_of_the_other_environments_that_run(tmp_path: Path) -> None:
    asked = a_directory(tmp_path / ".convergence")
    staging = a_directory(tmp_path / ".convergence-staging")
    lonely = f"Nothing runs in {asked.path}: start it with convergence up."
    assert nothing_runs_in(asked) == lonely

    lock = staging.lock()
    assert lock is not None
    try:
        said = nothing_runs_in(asked)
        elsewhere = nothing_runs_in(a_directory(tmp_path / "elsewhere"))
    finally:
        os.close(lock)

    hint = (
        f" If you mean the staging platform, add --data-dir {staging.path} or set CONVERGENCE_DATA_DIR to it."
    )
    assert said == lonely + hint
    assert elsewhere.endswith(hint)
