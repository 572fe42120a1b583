from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.clients import secret_manager_client
from convergence_orchestration.gcp.secrets import Secrets, SecretVersion
from convergence_orchestration.keys import admin
from convergence_orchestration.keys.admin import AdminKey
from convergence_orchestration.keys.token import generate_admin_key
from convergence_orchestration.settings import Environment, Settings
from convergence_orchestration_tests.keys.builders import DEVELOPMENT

KEY = generate_admin_key(DEVELOPMENT)
GUIDES_KEY = SecretStr("admin_3f1c9a7e5b2d4f60")


@pytest.fixture
def secrets(settings: Settings) -> Iterator[Secrets]:
    client = secret_manager_client(settings)
    yield Secrets(client, settings.gcp_project_id)
    client.transport.close()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("key", [KEY, GUIDES_KEY], ids=["ours", "the guide's"])
def test_the_key_is_accepted_and_nothing_else(key: SecretStr) -> None:
    one, text = AdminKey(key, "ADMIN_API_KEY", DEVELOPMENT), key.get_secret_value()
    assert one.accepts(text)
    for other in (
        "",
        text[:-1],
        text + "0",
        text.swapcase(),
        generate_admin_key(DEVELOPMENT).get_secret_value(),
        "\ud800",
    ):
        assert not one.accepts(other)


def test_no_text_of_it_shows_the_key() -> None:
    one = AdminKey(KEY, "ADMIN_API_KEY", DEVELOPMENT)
    assert KEY.get_secret_value() not in f"{one} {one!r} {vars(one)}"
    assert repr(one) == "AdminKey(source='ADMIN_API_KEY')"


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("admin_tooshort", "too short"),
        ("admin_with_a_line_break\n", "no header can carry"),
        ("admin_with_a_zèro_width", "no header can carry"),
        (" admin_behind_a_space", "no header can carry"),
        (KEY.get_secret_value()[:-1], "mistyped"),
        (generate_admin_key(Environment.STAGING).get_secret_value(), "another environment"),
    ],
    ids=["short", "line break", "accent", "space", "mistyped", "another environment"],
)
def test_what_cannot_be_a_key_here_is_refused_without_being_repeated(text: str, because: str) -> None:
    with pytest.raises(PermanentError, match=because) as raised:
        AdminKey(SecretStr(text), "ADMIN_API_KEY", DEVELOPMENT)
    assert raised.value.code is ErrorCode.INVALID_SETTINGS
    assert "generate_admin_key.py --environment development" in raised.value.message
    assert text.strip() not in f"{raised.value} {raised.value.details}"


def test_the_variable_counts_before_the_secret(settings: Settings, secrets: Secrets) -> None:
    admin.store(settings, secrets, KEY)
    with_variable = settings.model_copy(update={"admin_api_key": GUIDES_KEY})
    found = admin.read(with_variable, secrets)
    assert (found.source, found.key) == ("ADMIN_API_KEY", GUIDES_KEY)


def test_the_newest_version_of_the_secret_is_the_key(settings: Settings, secrets: Secrets) -> None:
    first = admin.store(settings, secrets, generate_admin_key(DEVELOPMENT))
    second = admin.store(settings, secrets, KEY)
    assert admin.store(settings, secrets, KEY) == second != first
    found = admin.read(settings, secrets)
    assert (found.source, found.key) == (second, KEY)
    assert second.endswith("secrets/admin-api-key-dev/versions/2")


def test_without_a_key_it_says_how_to_make_one(settings: Settings, secrets: Secrets) -> None:
    for prepare in (lambda: None, lambda: secrets.ensure_secret("admin-api-key-dev")):
        prepare()
        with pytest.raises(PermanentError, match="generate_admin_key") as raised:
            admin.read(settings, secrets)
        assert raised.value.code is ErrorCode.NOT_FOUND


def test_a_key_is_made_where_there_is_none_and_kept_where_there_is_one(
    settings: Settings, secrets: Secrets
) -> None:
    made = admin.ensure(settings, secrets)
    assert made.source.endswith("/versions/1")
    again = admin.ensure(settings, secrets)
    assert (again.source, again.key) == (made.source, made.key)


def test_a_key_that_is_wrong_is_not_replaced_behind_anybodys_back(
    settings: Settings, secrets: Secrets
) -> None:
    secrets.ensure_secret("admin-api-key-dev")
    secrets.add_version("admin-api-key-dev", b"short\xff")
    with pytest.raises(PermanentError) as raised:
        admin.ensure(settings, secrets)
    assert raised.value.code is ErrorCode.INVALID_SETTINGS


def test_a_key_of_another_environment_is_not_stored(settings: Settings, secrets: Secrets) -> None:
    with pytest.raises(PermanentError, match="another environment"):
        admin.store(settings, secrets, generate_admin_key(Environment.PRODUCTION))


class UnreachableSecrets(Secrets):
    """Does not answer."""

    def access(self, secret_id: str, version: str = "latest") -> SecretVersion:
        raise TransientError(ErrorCode.UNAVAILABLE, f"Try again: {secret_id}/{version}.")


def test_a_secret_manager_that_does_not_answer_is_no_missing_key(
    settings: Settings, secrets: Secrets
) -> None:
    with pytest.raises(TransientError):
        admin.read(settings, UnreachableSecrets(secrets.client, settings.gcp_project_id))
