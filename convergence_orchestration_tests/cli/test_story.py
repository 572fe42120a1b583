from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from convergence_orchestration.cli.access import Access
from convergence_orchestration.cli.story import Story
from convergence_orchestration.errors import PermanentError
from convergence_orchestration.settings import load_settings
from convergence_orchestration_tests.cli.api_standin import ApiStandin

KEY = "cvg_dev_" + "x" * 49


@pytest.fixture
def story(api: ApiStandin, tmp_path: Path) -> Story:
    """A story whose platform is a stand-in that answers wrongly."""
    access = Access(api.url, SecretStr("cvgadm_dev_" + "y" * 49))
    return Story(access, load_settings(), tmp_path, {"acmecorp": KEY}, {"acmecorp": "key_1"})


def test_a_key_in_clear_is_found_wherever_it_is(story: Story) -> None:
    (story.directory / "harmless").write_bytes(b"x" * (1 << 21))
    assert story.search_keys() == "none in 1 files"

    (story.directory / "deep").mkdir()
    (story.directory / "deep" / "database").write_bytes(b"." * ((1 << 20) - 20) + KEY.encode())

    with pytest.raises(PermanentError, match="deep/database holds a key in clear"):
        story.search_keys()


def test_a_file_that_has_just_gone_holds_nothing(story: Story) -> None:
    (story.directory / "gone").symlink_to(story.directory / "nowhere")
    assert story.search_keys() == "none in 0 files"


@pytest.mark.parametrize(
    ("act", "answer", "words"),
    [
        (
            lambda story: story.make_tenant("acmecorp"),
            (202, {"state": "PROVISIONING", "run_url": "U"}),
            "run U",
        ),
        (lambda story: story.issue_key("acmecorp"), (202, {"run_url": "U", "key_id": "key_1"}), "run U"),
        (lambda story: story.ask_who("acmecorp"), (401, {}), "got 401"),
        (lambda story: story.ask_who("acmecorp"), (200, {"tenant_id": "globex"}), "opens globex"),
        (lambda story: story.be_refused("acmecorp"), (200, {}), "a revoked key got 200"),
    ],
)
def test_a_step_that_finds_something_else_stops_the_story(
    story: Story, api: ApiStandin, act: Callable[[Story], str], answer: tuple[int, object], words: str
) -> None:
    api.answers = [answer]

    with pytest.raises(PermanentError, match=words):
        act(story)
