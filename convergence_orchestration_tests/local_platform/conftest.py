import pytest


@pytest.fixture
def anyio_backend() -> str:
    """The supervisor is made of asyncio's own parts."""
    return "asyncio"
