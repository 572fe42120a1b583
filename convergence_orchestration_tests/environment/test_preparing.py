from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from google.cloud import kms_v1
from google.iam.v1.policy_pb2 import Binding, Policy
from google.type.expr_pb2 import Expr

from convergence_orchestration.environment.cloud import Cloud, opened, sealing_as
from convergence_orchestration.environment.looking import looked_at
from convergence_orchestration.environment.model import LOOKER, READER, SEALER, Action, Difference, Prepared
from convergence_orchestration.environment.preparing import (
    bind_secret,
    prepare,
    prepare_bindings,
    prepare_key,
    prepare_key_ring,
    prepare_secret,
    probe,
)
from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.kms import KeyFacts, Kms
from convergence_orchestration.gcp.secret_versions import SecretVersions
from convergence_orchestration.keys import admin
from convergence_orchestration.keys.token import generate_admin_key
from convergence_orchestration.settings import Environment, Settings
from convergence_orchestration_tests.emulators import Emulator
from convergence_orchestration_tests.gcp.faults import faults

NOW = datetime(2026, 11, 23, tzinfo=UTC)
DAY = timedelta(days=1)
KMS = "google.cloud.kms.v1.KeyManagementService"
MAY_NOT_LOOK = {"method": f"{KMS}/Get*", "code": "PERMISSION_DENIED"}
MAY_NOT_ENCRYPT = {"method": "*/Encrypt", "code": "PERMISSION_DENIED"}
SEALING = "gcloud kms keys add-iam-policy-binding api-key-encryption"


def all_of(cloud: Cloud) -> list[Prepared]:
    return list(prepare(cloud, datetime.now(UTC)))


def with_key(cloud: Cloud) -> Cloud:
    prepare_key_ring(cloud)
    prepare_key(cloud, datetime.now(UTC))
    return cloud


def test_an_empty_project_is_prepared_and_a_second_time_nothing_changes(cloud: Cloud) -> None:
    made, found = all_of(cloud), all_of(cloud)

    project = cloud.settings.gcp_project_id
    assert [each.action for each in made] == [Action.CREATED] * 6 + [Action.TRIED]
    assert not any(each.action.is_change or each.changed for each in found)
    assert made[1].name.endswith("/keyRings/convergence-keyring-staging/cryptoKeys/api-key-encryption")
    assert made[2].name == f"projects/{project}/secrets/admin-api-key-staging/versions/1"
    account = f"convergence-api-staging@{project}.iam.gserviceaccount.com"
    assert made[-1].note == f"{account} encrypts and decrypts with it."


def test_development_staging_and_production_have_names_and_keys_of_their_own(settings: Settings) -> None:
    names, keys = [], []
    for environment in Environment:
        with opened(settings.of(environment)) as cloud:
            names += [each.name for each in (prepare_key_ring(cloud), prepare_secret(cloud))]
            keys.append(admin.read(cloud.settings, cloud.secrets).key)

    rings = [name.rpartition("/")[2] for name in names[::2]]
    assert rings == ["convergence-keyring-dev", "convergence-keyring-staging", "convergence-keyring-prod"]
    assert len(set(keys)) == 3


def test_what_is_named_for_one_environment_is_not_taken_for_another(settings: Settings) -> None:
    named = settings.model_copy(update={"kms_keyring": "ours", "service_account": "a@b.c"})

    assert named.of(Environment.DEVELOPMENT) is named
    assert named.of(Environment.PRODUCTION).key_ring == "convergence-keyring-prod"
    assert named.of(Environment.PRODUCTION).service_account_email.startswith("convergence-api-prod@")
    assert named.service_account_email == "a@b.c"


def test_the_keys_of_another_project_are_prepared_there(staging: Settings) -> None:
    elsewhere = staging.model_copy(update={"kms_project_id": "keys-of-acme"})
    with opened(elsewhere) as cloud:
        assert prepare_key_ring(cloud).name.startswith("projects/keys-of-acme/locations/us-central1/")


def test_a_rotation_that_has_drifted_is_mended_and_shown(cloud: Cloud) -> None:
    with_key(cloud).kms.set_rotation(30 * DAY, datetime.now(UTC))

    mended, again = (prepare_key(cloud, datetime.now(UTC)) for _ in range(2))

    assert mended.action is Action.CHANGED
    assert mended.changed == (Difference("rotation period", "30 days", "90 days"),)
    assert again.action is Action.EXISTED
    found = cloud.kms.find_crypto_key()
    assert found is not None
    assert found.rotation == 90 * DAY


def test_the_guides_key_which_is_never_rotated_is_from_now_on(cloud: Cloud) -> None:
    prepare_key_ring(cloud)
    purpose = kms_v1.CryptoKey.CryptoKeyPurpose.ENCRYPT_DECRYPT
    cloud.kms.client.create_crypto_key(
        parent=cloud.kms.key_ring_name,
        crypto_key_id="api-key-encryption",
        crypto_key=kms_v1.CryptoKey(purpose=purpose),
    )

    assert prepare_key(cloud, datetime.now(UTC)).changed[0].found == "never"


def test_a_rotation_that_may_not_be_set_is_shown_and_stops_nothing(cloud: Cloud, local_gcp: Emulator) -> None:
    with_key(cloud).kms.set_rotation(30 * DAY, datetime.now(UTC))

    with faults(local_gcp, {"method": f"{KMS}/UpdateCryptoKey", "code": "PERMISSION_DENIED"}):
        prepared = prepare_key(cloud, datetime.now(UTC))

    assert prepared.action is Action.EXISTED
    assert "rotation period 30 days, declared 90 days" in prepared.note
    assert "roles/cloudkms.admin" in prepared.note


def test_an_account_that_may_only_encrypt_uses_the_key_that_people_made(
    cloud: Cloud, local_gcp: Emulator
) -> None:
    with_key(cloud)

    with faults(local_gcp, MAY_NOT_LOOK):
        prepared = prepare_key_ring(cloud), prepare_key(cloud, NOW)

    assert {each.action for each in prepared} == {Action.EXISTED}
    assert "may not look" in prepared[0].note


def test_an_account_that_may_do_neither_is_told_which_role_is_missing(
    cloud: Cloud, local_gcp: Emulator
) -> None:
    with_key(cloud)

    with faults(local_gcp, MAY_NOT_LOOK, MAY_NOT_ENCRYPT):
        acts: tuple[Callable[[], Prepared], ...] = (
            lambda: prepare_key_ring(cloud),
            lambda: prepare_key(cloud, NOW),
        )
        for act in acts:
            with pytest.raises(PermanentError, match=r"roles/cloudkms\.admin") as caught:
                act()
            assert caught.value.code is ErrorCode.PERMISSION_DENIED


def test_a_key_that_may_not_be_used_names_the_role_for_using_it(cloud: Cloud, local_gcp: Emulator) -> None:
    prepare_key_ring(cloud)
    with faults(local_gcp, MAY_NOT_ENCRYPT), pytest.raises(PermanentError, match=SEALING):
        prepare_key(cloud, datetime.now(UTC))


def test_a_disabled_primary_version_is_named_and_left_to_people(cloud: Cloud) -> None:
    version = kms_v1.CryptoKeyVersion(
        name=f"{with_key(cloud).kms.crypto_key_name}/cryptoKeyVersions/1",
        state=kms_v1.CryptoKeyVersion.CryptoKeyVersionState.DISABLED,
    )
    cloud.kms.client.update_crypto_key_version(crypto_key_version=version, update_mask={"paths": ["state"]})

    with pytest.raises(PermanentError, match="primary version is DISABLED") as caught:
        prepare_key(cloud, NOW)

    assert caught.value.code is ErrorCode.FAILED_PRECONDITION


class SigningKms(Kms):
    """Has a key that signs, which the local cloud does not serve."""

    def find_crypto_key(self) -> KeyFacts:
        return KeyFacts("ASYMMETRIC_SIGN", "ENABLED", None)


def test_a_key_with_another_purpose_is_named_and_left_alone(cloud: Cloud) -> None:
    signing = replace(cloud, kms=SigningKms(cloud.kms.client, cloud.kms.crypto_key_name))

    with pytest.raises(PermanentError, match="it has purpose ASYMMETRIC_SIGN") as caught:
        prepare_key(signing, NOW)

    assert caught.value.code is ErrorCode.FAILED_PRECONDITION


def test_a_kms_that_is_slow_is_waited_for(cloud: Cloud, local_gcp: Emulator) -> None:
    with faults(local_gcp, {"method": f"{KMS}/*", "delay_seconds": 0.2, "times": 2}):
        assert prepare_key_ring(cloud).action is Action.CREATED


def test_a_kms_that_is_down_is_tried_again_and_one_that_is_down_once_is_no_matter(
    cloud: Cloud, local_gcp: Emulator
) -> None:
    with faults(local_gcp, {"method": f"{KMS}/CreateKeyRing", "code": "UNAVAILABLE", "times": 1}):
        assert prepare_key_ring(cloud).action is Action.CREATED
    with (
        faults(local_gcp, {"method": f"{KMS}/GetKeyRing", "code": "DATA_LOSS"}),
        pytest.raises(TransientError),
    ):
        prepare_key_ring(cloud)


def test_the_service_account_gets_three_bindings_and_others_keep_theirs(cloud: Cloud) -> None:
    with_key(cloud)
    prepare_secret(cloud)
    condition = Expr(title="until", expression='request.time < timestamp("2030-01-01T00:00:00Z")')
    theirs = Binding(role=SEALER, members=["user:ann@acme.example"], condition=condition)
    resource = {"resource": cloud.kms.crypto_key_name}
    policy = Policy(version=3, bindings=[theirs])
    cloud.kms.client.set_iam_policy(request={**resource, "policy": policy})

    made, found = prepare_bindings(cloud), prepare_bindings(cloud)

    assert [each.changed[0].what for each in made] == [SEALER, READER, LOOKER]
    assert not any(each.changed for each in found)
    kept = cloud.kms.client.get_iam_policy(request={**resource, "options": {"requested_policy_version": 3}})
    assert theirs in kept.bindings


def test_a_binding_that_may_not_be_made_names_the_line_that_makes_it(
    cloud: Cloud, local_gcp: Emulator
) -> None:
    with_key(cloud)
    prepare_secret(cloud)
    member = f'--member="{cloud.declared.member}"'
    for service, line in (
        ("google.iam.v1.IAMPolicy", SEALING),
        ("*SecretManagerService", "gcloud secrets add-iam-policy-binding admin-api-key-staging"),
    ):
        fault = {"method": f"{service}/SetIamPolicy", "code": "PERMISSION_DENIED"}
        with faults(local_gcp, fault), pytest.raises(PermanentError, match=line) as refused:
            prepare_bindings(cloud)
        assert member in refused.value.message


def test_the_probe_has_the_service_accounts_rights_and_no_others(cloud: Cloud) -> None:
    with_key(cloud)

    with pytest.raises(PermanentError, match="useToEncrypt") as refused:
        probe(cloud, is_fresh=False)
    with pytest.raises(TransientError, match="a few minutes") as fresh:
        probe(cloud, is_fresh=True)

    assert cloud.kms.works()  # for ourselves
    for error in (refused.value, fresh.value):
        assert SEALING in error.message
        assert f'--member="{cloud.declared.member}"' in error.message


def test_who_may_only_encrypt_fails_the_probe_by_what_is_missing(cloud: Cloud) -> None:
    with_key(cloud)
    role = "roles/cloudkms.cryptoKeyEncrypter"
    cloud.kms.policies.ensure_binding(cloud.kms.crypto_key_name, role, cloud.declared.member, "")

    with sealing_as(cloud.settings, cloud.declared.service_account) as kms:
        assert kms.encrypt(b"x", b"")
    with pytest.raises(PermanentError, match="useToDecrypt"):
        probe(cloud, is_fresh=False)


def test_a_key_ring_that_is_not_there_is_no_missing_permission_of_ours(cloud: Cloud) -> None:
    with pytest.raises(PermanentError) as refused:
        cloud.kms.works()
    assert refused.value.code is ErrorCode.NOT_FOUND


def test_the_secret_keeps_a_fit_key_and_an_unfit_one_is_refused(cloud: Cloud) -> None:
    first = prepare_secret(cloud)
    cloud.secrets.add_version("admin-api-key-staging", b"short")

    with pytest.raises(PermanentError, match="too short"):
        prepare_secret(cloud)

    SecretVersions(cloud.secrets).disable("admin-api-key-staging", 2)
    assert prepare_secret(cloud) == Prepared(first.name, Action.EXISTED)


def test_a_key_of_another_environment_is_refused_where_it_is_found(cloud: Cloud) -> None:
    cloud.secrets.ensure_secret("admin-api-key-staging")
    foreign = generate_admin_key(Environment.PRODUCTION).get_secret_value().encode()
    cloud.secrets.add_version("admin-api-key-staging", foreign)
    with pytest.raises(PermanentError, match="another environment"):
        prepare_secret(cloud)

    for secret_id in ("admin-api-key-staging", "admin-api-key-prod"):
        cloud.secrets.ensure_secret(secret_id)
        cloud.secrets.add_version(secret_id, b"admin_shared_by_two_of_them")
    with pytest.raises(PermanentError, match="admin-api-key-prod"):
        prepare_secret(cloud)


def test_what_there_is_is_shown_beside_what_is_declared(cloud: Cloud, local_gcp: Emulator) -> None:
    before = [each.found for each in looked_at(cloud)]
    all_of(cloud)
    after = list(looked_at(cloud))
    with faults(local_gcp, {"method": f"{KMS}/Get*", "code": "PERMISSION_DENIED"}):
        unseen = next(looked_at(cloud)).found

    account = cloud.declared.service_account
    assert set(before) == {"missing"}
    assert [each.found for each in after] == [
        "ENCRYPT_DECRYPT, ENABLED, every 90 days",
        "version 1, enabled",
        *[account] * 3,
    ]
    assert all(each.found == each.declared for each in after if each.what.startswith(("key", "roles")))
    assert unseen.startswith("unknown")


def test_one_more_administrators_secret_can_be_read_by_the_api(cloud: Cloud) -> None:
    cloud.secrets.ensure_secret("admin-api-key-staging--ann")
    bind_secret(cloud, "admin-api-key-staging--ann")

    metadata = cloud.secret_versions
    name = metadata.name("admin-api-key-staging--ann")
    assert metadata.policies.has_binding(name, READER, cloud.declared.member)
