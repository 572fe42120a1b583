from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
import yaml

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.health.model import Measure, ProbeName, ProbeResult, ProbeStatus
from convergence_orchestration.health.opening import Looked, opened_places
from convergence_orchestration.health.probes.places import Place, Shared, look_around
from convergence_orchestration.settings import Environment, Settings
from convergence_orchestration_tests.emulators import Emulator
from convergence_orchestration_tests.health.builders import result
from convergence_orchestration_tests.releases.cloud import RunCloud, Works

HEALTHY, UNHEALTHY, UNKNOWN = ProbeStatus.HEALTHY, ProbeStatus.UNHEALTHY, ProbeStatus.UNKNOWN


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def shared(bigquery: BigQuery) -> Shared:
    return Shared("development", bigquery, most_bytes_a_day=None, dagster=None)


@pytest.fixture
def staging_and_own(run_cloud: RunCloud, project: Settings) -> tuple[Settings, Settings]:
    own = run_cloud.settings(project)
    return own, own.of(Environment.STAGING)


def nothing() -> list[ProbeResult]:
    return []


def found(results: list[ProbeResult]) -> dict[tuple[ProbeName, str | None], ProbeResult]:
    return {(one.probe, one.revision): one for one in results}


@contextmanager
def prepared(settings: Settings, service: str) -> Iterator[Place]:
    with opened_places([Looked(settings, service)], "development") as (place,):
        place.kms.ensure_key_ring()
        place.kms.ensure_crypto_key(now())
        place.secrets.ensure_secret(place.admin_secret_id)
        place.secrets.add_version(place.admin_secret_id, b"an administrators' key")
        yield place


def test_a_released_service_is_looked_at_everywhere_it_answers(
    works: Works, run_cloud: RunCloud, project: Settings, shared: Shared
) -> None:
    revision = works.deploy()
    with prepared(run_cloud.settings(project), works.service) as place:
        results = look_around([place], shared, nothing, now)

    seen = found(results)
    assert len(seen) == len(results)
    assert {key: one.status for key, one in seen.items() if key[1] is None} == {
        (ProbeName.CLOUD_RUN, None): HEALTHY,
        (ProbeName.KMS_ROUND_TRIP, None): HEALTHY,
        (ProbeName.ADMIN_SECRET, None): HEALTHY,
        (ProbeName.API_LIVE, None): HEALTHY,
        (ProbeName.API_HEALTH, None): UNHEALTHY,  # the small image names no version
        (ProbeName.API_READY, None): UNHEALTHY,
        (ProbeName.INDEX_AGE, None): UNKNOWN,
        (ProbeName.TLS, None): HEALTHY,
        (ProbeName.BIGQUERY_QUERY, None): HEALTHY,
        (ProbeName.BIGQUERY_QUOTA, None): HEALTHY,
    }
    assert seen[ProbeName.TLS, None].measured[Measure.DAYS_LEFT] > 14
    tagged = seen[ProbeName.API_LIVE, revision]
    assert tagged.target.startswith("https://blue---")
    assert (tagged.status, tagged.measured) == (HEALTHY, {Measure.TRAFFIC_PERCENT: 100.0})


def test_a_service_that_is_not_there_is_bad_here_and_no_matter_elsewhere(
    staging_and_own: tuple[Settings, Settings], shared: Shared
) -> None:
    wanted = [Looked(one, "api-never-released") for one in staging_and_own]
    with opened_places(wanted, "development") as places:
        results = look_around(places, shared, nothing, now)

    assert {one.environment for one in results} == {"development"}
    own = found(results)[ProbeName.CLOUD_RUN, None]
    assert own.status is UNHEALTHY
    assert "deploy_service" in own.message


def test_when_cloud_run_is_away_the_addresses_of_before_are_asked(
    run_cloud: RunCloud, project: Settings, shared: Shared
) -> None:
    before = [
        result(target="https://gone.localhost:1"),
        result(target="https://tag.localhost:1", revision="api-1", measured={Measure.TRAFFIC_PERCENT: 5.0}),
        result(target="https://elsewhere.localhost:1", environment="production"),
    ]
    faults = [{"method": "*/GetService", "code": "PERMISSION_DENIED"}]
    run_cloud.faults_file.write_text(yaml.safe_dump(faults))
    try:
        with opened_places([Looked(run_cloud.settings(project), "api-x")], "development") as places:
            results = look_around(places, shared, lambda: before, now)
    finally:
        run_cloud.faults_file.unlink()

    live = [one for one in results if one.probe is ProbeName.API_LIVE]
    assert [(one.target, one.revision, one.status) for one in live] == [
        ("https://gone.localhost:1", None, UNKNOWN),
        ("https://tag.localhost:1", "api-1", UNKNOWN),
    ]
    assert found(results)[ProbeName.CLOUD_RUN, None].status is UNHEALTHY
    assert found(results)[ProbeName.TLS, None].status is UNKNOWN


def test_a_slow_kms_is_unknown_with_its_reason(
    run_cloud: RunCloud, project: Settings, shared: Shared, local_gcp: Emulator
) -> None:
    with prepared(run_cloud.settings(project), "api-x") as place:
        local_gcp.faults_file.write_text(yaml.safe_dump([{"method": "*/Decrypt", "delay_seconds": 3}]))
        try:
            seen = found(look_around([place], shared, nothing, now))
        finally:
            local_gcp.faults_file.unlink()

    key = seen[ProbeName.KMS_ROUND_TRIP, None]
    assert (key.status, "did not answer in time (decrypting)" in key.message) == (UNKNOWN, True)


def test_a_key_that_may_not_be_used_and_a_damaged_secret_are_seen(
    run_cloud: RunCloud, project: Settings, shared: Shared, local_gcp: Emulator
) -> None:
    with prepared(run_cloud.settings(project), "api-x") as place:
        faults = [
            {"method": "*/Encrypt", "code": "PERMISSION_DENIED"},
            {"method": "*/AccessSecretVersion", "corrupt": "payload.data"},
        ]
        local_gcp.faults_file.write_text(yaml.safe_dump(faults))
        try:
            seen = found(look_around([place], shared, nothing, now))
        finally:
            local_gcp.faults_file.unlink()

    key, secret = seen[ProbeName.KMS_ROUND_TRIP, None], seen[ProbeName.ADMIN_SECRET, None]
    assert (key.status, "roles/cloudkms.cryptoKeyEncrypterDecrypter" in key.message) == (UNHEALTHY, True)
    assert (secret.status, "damaged" in secret.message) == (UNKNOWN, True)
    assert not [one for one in seen.values() if "administrators' key" in one.message]
