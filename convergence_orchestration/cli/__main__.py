"""`python -m convergence_orchestration.cli` is `convergence`."""

from convergence_orchestration.cli import main

main()
