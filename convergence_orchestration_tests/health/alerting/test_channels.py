import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.clients import secret_manager_client
from convergence_orchestration.gcp.secrets import Secrets
from convergence_orchestration.health.alerting.channels import (
    LOG_CHANNEL,
    channels_secret_id,
    parse_channels,
    read_channels,
)
from convergence_orchestration.health.alerting.model import Severity
from convergence_orchestration.settings import Environment, Settings

URL = "slack://token-of-the-team/B1/C2"
DECLARED = f"""
- name: team
  url: {URL}
  severities: [CRITICAL]
  environments: [production]
- {{name: records, url: "json://127.0.0.1:1"}}
"""


def test_channels_are_declared_with_what_they_hear_of() -> None:
    team, records = parse_channels(DECLARED.encode(), "alert-channels-prod")
    assert team.name == "team"
    assert team.severities == {Severity.CRITICAL}
    assert team.environments == {Environment.PRODUCTION}
    assert records.severities == set(Severity)
    assert records.environments == set(Environment)
    assert team.url is not None
    assert team.url.get_secret_value() == URL


def test_a_channels_url_is_never_shown() -> None:
    channels = parse_channels(DECLARED.encode(), "alert-channels-prod")
    assert "token-of-the-team" not in f"{channels} {channels!r} {channels[0].url}"


@pytest.mark.parametrize(
    "payload",
    [
        f"[{URL}",
        f"- {URL}",
        f"{{team: {URL}}}",
        f"[{{name: 'no/name', url: '{URL}'}}]",
        f"[{{name: team, url: '{URL}', severities: [LOUD]}}]",
        f"[{{name: team, url: ['{URL}']}}]",
        f"[{{name: team, url: '{URL}', colour: '{URL}'}}]",
        f"[{{name: team, url: '{URL}'}}, {{name: team, url: '{URL}'}}]",
        f"[{{name: log, url: '{URL}'}}]",
        "[{name: team}]",
        "\udcff",
    ],
)
def test_what_is_no_list_of_channels_is_refused_without_showing_any_of_it(payload: str) -> None:
    with pytest.raises(PermanentError) as caught:
        parse_channels(payload.encode(errors="surrogateescape"), "alert-channels-prod")
    assert caught.value.code is ErrorCode.INVALID_SETTINGS
    assert caught.value.message.startswith("Mend the secret alert-channels-prod")
    assert "token-of-the-team" not in f"{caught.value.message}{caught.value.details}{caught.value.__cause__}"


def test_without_a_secret_there_is_the_log_and_with_one_the_log_and_its_channels(settings: Settings) -> None:
    secrets = Secrets(secret_manager_client(settings), settings.gcp_project_id)
    assert read_channels(secrets, settings.environment) == (LOG_CHANNEL,)

    secret_id = channels_secret_id(settings.environment)
    assert secret_id == "alert-channels-dev"
    secrets.ensure_secret(secret_id)
    secrets.add_version(secret_id, DECLARED.encode())
    assert [channel.name for channel in read_channels(secrets, settings.environment)] == [
        "log",
        "team",
        "records",
    ]
