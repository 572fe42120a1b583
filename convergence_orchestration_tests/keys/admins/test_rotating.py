from datetime import UTC, datetime, timedelta

import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.secret_versions import SecretVersions, VersionState
from convergence_orchestration.gcp.secrets import Secrets
from convergence_orchestration.keys import admin
from convergence_orchestration.keys.admins import roll
from convergence_orchestration.keys.admins.model import UNNAMED, Retirement
from convergence_orchestration.keys.admins.rotating import Rotating, retire, rotate
from convergence_orchestration.settings import Settings
from convergence_orchestration_tests.emulators import Emulator
from convergence_orchestration_tests.gcp.faults import faults

DAY = timedelta(days=1)
SECRET = "admin-api-key-dev"


def now() -> datetime:
    return datetime.now(UTC)


def wanted(run: str, overlap: timedelta = DAY, name: str = UNNAMED) -> Rotating:
    return Rotating(run, name, overlap)


def states(secrets: Secrets, secret_id: str = SECRET) -> dict[int, VersionState]:
    return {each.number: each.state for each in SecretVersions(secrets).versions(secret_id)}


def test_a_run_that_is_repeated_makes_one_version_and_another_run_the_next(
    settings: Settings, secrets: Secrets
) -> None:
    first = admin.ensure(settings, secrets).key

    done = [rotate(settings, secrets, wanted("one"), now()) for _ in range(2)]
    again = rotate(settings, secrets, wanted("two"), now())

    assert [(each.number, each.is_new) for each in done] == [(2, True), (2, False)]
    assert (again.number, again.is_new) == (3, True)
    assert admin.read(settings, secrets).key != first
    assert states(secrets) == {
        1: VersionState.DISABLED,  # two rotations ago: it did not count any more
        2: VersionState.ENABLED,
        3: VersionState.ENABLED,
    }


def test_a_run_killed_before_its_version_goes_on_and_another_waits_for_it_ten_minutes(
    settings: Settings, secrets: Secrets, local_gcp: Emulator
) -> None:
    admin.ensure(settings, secrets)
    with (
        faults(local_gcp, {"method": "*/AddSecretVersion", "code": "PERMISSION_DENIED"}),
        pytest.raises(PermanentError, match=r"secretmanager\.admin"),
    ):
        rotate(settings, secrets, wanted("killed"), now())

    with pytest.raises(PermanentError, match="run killed has begun") as other:
        rotate(settings, secrets, wanted("other"), now())
    finished = rotate(settings, secrets, wanted("killed"), now())

    assert other.value.code is ErrorCode.REQUEST_IN_PROGRESS
    assert (finished.number, finished.is_new) == (2, True)


def test_a_rotation_that_nobody_finishes_is_taken_over(
    settings: Settings, secrets: Secrets, local_gcp: Emulator
) -> None:
    admin.ensure(settings, secrets)
    with (
        faults(local_gcp, {"method": "*/AddSecretVersion", "code": "PERMISSION_DENIED"}),
        pytest.raises(PermanentError),
    ):
        rotate(settings, secrets, wanted("lost"), now() - timedelta(minutes=11))

    assert rotate(settings, secrets, wanted("other"), now()).number == 2


def test_of_two_rotations_that_meet_at_the_secret_one_gives_way(
    settings: Settings, secrets: Secrets, local_gcp: Emulator
) -> None:
    admin.ensure(settings, secrets)

    with (
        faults(local_gcp, {"method": "*/UpdateSecret", "code": "FAILED_PRECONDITION"}),
        pytest.raises(TransientError, match="changed by somebody else"),
    ):
        rotate(settings, secrets, wanted("late"), now())

    assert states(secrets) == {1: VersionState.ENABLED}


def test_without_an_overlap_the_key_before_is_disabled_at_once(settings: Settings, secrets: Secrets) -> None:
    admin.ensure(settings, secrets)

    done = rotate(settings, secrets, wanted("leak", timedelta()), now())

    assert done.retired == Retirement(disable=(1,))
    assert states(secrets)[1] is VersionState.DISABLED


def test_a_version_is_disabled_when_its_overlap_is_over_and_destroyed_a_week_later(
    settings: Settings, secrets: Secrets
) -> None:
    admin.ensure(settings, secrets)
    rotate(settings, secrets, wanted("run"), now())

    assert retire(settings, secrets, UNNAMED, now() + DAY / 2) == Retirement()
    assert retire(settings, secrets, UNNAMED, now() + DAY) == Retirement(disable=(1,))
    assert retire(settings, secrets, UNNAMED, now() + 8 * DAY) == Retirement(destroy=(1,))
    assert retire(settings, secrets, UNNAMED, now() + 9 * DAY) == Retirement()
    assert states(secrets) == {1: VersionState.DESTROYED, 2: VersionState.ENABLED}


def test_who_is_not_there_cannot_be_rotated(settings: Settings, secrets: Secrets) -> None:
    for name, words in ((UNNAMED, "prepare_environment"), ("ann", "admin-key add ann")):
        with pytest.raises(PermanentError, match=words) as refused:
            rotate(settings, secrets, wanted("run", name=name), now())
        assert refused.value.code is ErrorCode.NOT_FOUND


def test_named_administrators_come_and_go(settings: Settings, secrets: Secrets) -> None:
    secrets.ensure_secret("admin-api-key-dev--unlabelled")
    secrets.ensure_secret("admin-api-key-staging--bob", {"administrator": "bob"})
    added = roll.add(settings, secrets, "ann")

    assert roll.names(secrets, settings.environment) == ["ann"]
    assert admin.read(settings, secrets, "ann").key == added.key
    with pytest.raises(PermanentError, match="there is such an administrator"):
        roll.add(settings, secrets, "ann")
    roll.remove(settings, secrets, "ann")
    assert roll.names(secrets, settings.environment) == []
    for name, words in (("ann", "no administrator ann"), (UNNAMED, "Rotate it instead")):
        with pytest.raises(PermanentError, match=words):
            roll.remove(settings, secrets, name)
    with pytest.raises(PermanentError, match="admin-key add ann"):
        admin.read(settings, secrets, "ann")


def test_an_administrator_whose_adding_was_cut_off_can_be_added(settings: Settings, secrets: Secrets) -> None:
    secrets.ensure_secret("admin-api-key-dev--ann", admin.labels_of("ann"))

    assert roll.add(settings, secrets, "ann").version.endswith("/versions/1")
