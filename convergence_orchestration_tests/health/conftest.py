from convergence_orchestration_tests.releases.conftest import run_cloud, works

__all__ = ["run_cloud", "works"]  # fixtures
