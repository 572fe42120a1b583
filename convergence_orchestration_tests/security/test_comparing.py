from pathlib import Path

import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.policies import LoggedService
from convergence_orchestration.security.baseline import baseline_of
from convergence_orchestration.security.comparing import compared, reviewed
from convergence_orchestration.security.model import Grant, Line, Looked, Place, Verdict
from convergence_orchestration.security.protections import audit_logging
from convergence_orchestration.settings import Environment, load_settings

KEY = "projects/p-project/locations/us-central1/keyRings/ring/cryptoKeys/sealing"
SEALER = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
API = "serviceAccount:api@p-project.iam.gserviceaccount.com"


def a_grant(member: str = API, place: Place = Place.KEY, condition: str = "") -> Grant:
    return Grant(place, SEALER, member, condition)


def lines(
    *found: Grant, declared: tuple[Grant, ...] = (), tolerated: frozenset[str] = frozenset()
) -> list[Line]:
    return list(compared(Looked(Place.KEY, KEY, frozenset(found)), frozenset(declared), tolerated))


def test_what_is_as_declared_needs_nothing() -> None:
    (line,) = lines(a_grant(), declared=(a_grant(),))

    assert (line.verdict, line.cure) == (Verdict.DECLARED, "")


def test_what_is_missing_is_granted_by_the_line_beside_it() -> None:
    (line,) = lines(declared=(a_grant(),))

    assert line.verdict is Verdict.MISSING
    assert line.cure == (
        "gcloud kms keys add-iam-policy-binding sealing --project=p-project --location=us-central1 --keyring=ring "
        f'--member="{API}" --role="{SEALER}"'
    )


def test_what_nobody_declared_is_taken_away_by_the_line_beside_it() -> None:
    (line,) = lines(a_grant("user:eve@example.com"))

    assert line.verdict is Verdict.UNEXPECTED
    assert "remove-iam-policy-binding sealing" in line.cure


def test_a_grant_with_a_condition_is_another_one() -> None:
    found = lines(a_grant(condition="request.time < x"), declared=(a_grant(),))

    assert [(line.verdict, line.note) for line in found] == [
        (Verdict.MISSING, ""),
        (Verdict.UNEXPECTED, "if request.time < x"),
    ]


def test_googles_own_agents_are_no_difference() -> None:
    (line,) = lines(a_grant("agent"), tolerated=frozenset({"agent"}))

    assert (line.verdict, line.verdict.is_difference) == (Verdict.TOLERATED, False)


def test_what_cannot_be_read_is_unknown_and_not_empty() -> None:
    (line,) = compared(Looked(Place.KEY, KEY, None, "denied"), frozenset({a_grant()}), frozenset())

    assert (line.verdict, line.note) == (Verdict.UNKNOWN, "denied")


@pytest.mark.parametrize(
    ("place", "resource", "words"),
    [
        (Place.PROJECT, "projects/p-project", "gcloud projects remove-iam-policy-binding p-project --member"),
        (
            Place.SECRET,
            "projects/p-project/secrets/s",
            "gcloud secrets remove-iam-policy-binding s --project=p-project",
        ),
        (
            Place.SERVICE,
            "projects/p-project/locations/us-central1/services/api",
            "gcloud run services remove-iam-policy-binding api --project=p-project --region=us-central1",
        ),
        (
            Place.DATASET,
            "projects/p-project/datasets/tenants",
            "bq show --format=prettyjson p-project:tenants",
        ),
    ],
)
def test_each_place_has_its_own_command(place: Place, resource: str, words: str) -> None:
    grant = Grant(place, "a-role", "user:eve@example.com")

    (line,) = compared(Looked(place, resource, frozenset({grant})), frozenset(), frozenset())

    assert line.cure.startswith(words)


def test_differences_come_first_and_the_digest_tells_reviews_apart() -> None:
    differing = reviewed("staging", lines(a_grant(), a_grant("user:eve@example.com"), declared=(a_grant(),)))
    same = reviewed("staging", lines(a_grant(), declared=(a_grant(),)))

    assert [line.verdict for line in differing.lines] == [Verdict.UNEXPECTED, Verdict.DECLARED]
    assert differing.count(Verdict.UNEXPECTED) == 1
    assert differing.digest != same.digest
    assert same.digest == reviewed("staging", lines(a_grant(), declared=(a_grant(),))).digest


@pytest.mark.parametrize("environment", list(Environment))
def test_every_environment_has_a_baseline_for_every_place(environment: Environment) -> None:
    settings = load_settings(_env_file=None, gcp_project_id="p-project").of(environment)
    baseline = baseline_of(environment)

    assert set(baseline.grants) == set(Place)
    (grant,) = baseline.declared(Place.KEY, settings)
    assert grant.member == f"serviceAccount:{settings.service_account_email}"
    assert baseline.tolerates("serviceAccount:service-12@gcp-sa-x.iam.gserviceaccount.com")
    assert not baseline.tolerates(grant.member)
    assert baseline.asks_for.vpc_service_controls is (environment is Environment.PRODUCTION)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("grants: [", "cannot be read"),
        ("grants: {moon: []}", "grants.moon"),
        ("grants: {}\ntolerated: ['(']\nasks_for: {}", "no regular expression"),
        (None, "cannot be read"),
    ],
)
def test_a_wrong_baseline_is_refused_with_its_place(tmp_path: Path, text: str | None, words: str) -> None:
    if text is not None:
        (tmp_path / "staging.yaml").write_text(text)

    with pytest.raises(PermanentError, match=words) as refused:
        baseline_of(Environment.STAGING, tmp_path)
    assert refused.value.code is ErrorCode.INVALID_SETTINGS


BOTH = frozenset({"DATA_READ", "DATA_WRITE"})


@pytest.mark.parametrize(
    ("logged", "verdict"),
    [
        ([LoggedService("allServices", BOTH)], Verdict.DECLARED),
        (
            [
                LoggedService("cloudkms.googleapis.com", BOTH),
                LoggedService("secretmanager.googleapis.com", frozenset({"DATA_READ"})),
                LoggedService("allServices", frozenset({"DATA_WRITE"})),
            ],
            Verdict.DECLARED,
        ),
        ([LoggedService("cloudkms.googleapis.com", BOTH)], Verdict.MISSING),
        ([], Verdict.MISSING),
        ("denied", Verdict.UNKNOWN),
    ],
)
def test_access_to_keys_and_secrets_has_to_be_logged(
    logged: list[LoggedService] | str, verdict: Verdict
) -> None:
    assert audit_logging(logged, "p-project").verdict is verdict
