from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.run_v2 import Service, TrafficTarget

from convergence_orchestration.local_gcp.codes import BY_NAME
from convergence_orchestration_tests.local_gcp.control_planes import DIGEST, IMAGE, ControlPlane
from convergence_orchestration_tests.local_gcp.local_run import service_of


def _state(service: Any, type_: str) -> str:
    (state,) = (found.state.name for found in service.conditions if found.type_ == type_)
    return str(state).removeprefix("CONDITION_")


def _short(name: str) -> str:
    return name.rpartition("/")[2]


def _to(revision: str, percent: int, tag: str = "") -> TrafficTarget:
    return TrafficTarget(revision=_short(revision), percent=percent, tag=tag)


def _shares(service: Service) -> dict[str, int]:
    return {status.revision: status.percent for status in service.traffic_statuses}


def test_a_new_service_waits_for_its_revision_and_then_for_the_front_door(plane: ControlPlane) -> None:
    operation: Any = plane.services.create_service(
        parent=plane.location, service_id="api", service=service_of(IMAGE)
    )
    service = plane.read(f"{plane.location}/services/api")
    assert (service.generation, service.observed_generation, service.reconciling) == (1, 0, True)
    assert service.latest_created_revision.startswith(f"{service.name}/revisions/api-00001-")
    assert not service.latest_ready_revision
    assert operation.metadata.name == service.name

    plane.becomes_ready(service.latest_created_revision)
    service = plane.read(service.name)
    assert (_state(service, "ConfigurationsReady"), _state(service, "RoutesReady")) == (
        "SUCCEEDED",
        "RECONCILING",
    )
    assert not service.traffic_statuses
    assert not plane.operation(operation).done

    plane.routes(service.name)
    service = plane.read(service.name)
    assert (service.observed_generation, service.reconciling) == (1, False)
    assert service.terminal_condition.state.name == "CONDITION_SUCCEEDED"
    assert service.latest_ready_revision == service.latest_created_revision
    assert _shares(service) == {_short(service.latest_ready_revision): 100}
    assert operation.result().name == service.name


def test_defaults_are_filled_in_and_the_tag_of_an_image_becomes_its_digest(plane: ControlPlane) -> None:
    service = plane.ask()
    revision = plane.revisions.get_revision(name=service.latest_created_revision)

    assert service.template.timeout.total_seconds() == 300
    assert service.template.max_instance_request_concurrency == 80
    assert service.template.containers[0].image == IMAGE
    assert service.template.containers[0].startup_probe.tcp_socket.port == 8080
    assert service.uri == "https://api.localhost:8443"
    assert revision.containers[0].image == f"{IMAGE.rpartition(':')[0]}@{DIGEST}"
    assert revision.service == "api"


def test_after_a_split_a_new_revision_gets_nothing_and_is_not_the_latest_ready_one(
    plane: ControlPlane,
) -> None:
    service = plane.served()
    first = service.latest_ready_revision
    service.traffic = [_to(first, 100)]
    plane.change(service, "traffic")
    plane.routes(service.name)

    deployed = plane.deploy(service)
    plane.becomes_ready(deployed.latest_created_revision)

    deployed = plane.read(service.name)
    assert deployed.latest_created_revision != first
    assert deployed.latest_ready_revision == first
    assert not deployed.reconciling
    assert _shares(deployed) == {_short(first): 100}

    deployed.traffic = [_to(first, 90, "blue"), _to(deployed.latest_created_revision, 10, "green")]
    operation = plane.change(deployed, "traffic")
    assert plane.read(service.name).reconciling
    assert _shares(plane.read(service.name)) == {_short(first): 100}  # until the front door says so

    plane.routes(service.name)
    split = plane.read(service.name)
    assert plane.operation(operation).done
    assert split.latest_ready_revision == deployed.latest_created_revision
    assert {(status.tag, status.percent, status.uri) for status in split.traffic_statuses} == {
        ("blue", 90, "https://blue---api.localhost:8443"),
        ("green", 10, "https://green---api.localhost:8443"),
    }


def test_traffic_of_type_latest_follows_the_newest_revision_that_is_ready(plane: ControlPlane) -> None:
    service = plane.served()
    first = service.latest_ready_revision

    deployed = plane.deploy(service)
    assert _shares(plane.read(service.name)) == {_short(first): 100}

    plane.becomes_ready(deployed.latest_created_revision)
    plane.routes(service.name)
    assert _shares(plane.read(service.name)) == {_short(deployed.latest_created_revision): 100}


def test_a_failed_revision_ends_its_operation_and_leaves_the_traffic_where_it_was(
    plane: ControlPlane,
) -> None:
    service = plane.served()
    asked = plane.read(service.name)
    asked.template.labels["new"] = "yes"
    operation = plane.change(asked, "template.labels")
    created = plane.read(service.name).latest_created_revision

    revision = plane.fails(created, "The user-provided container failed to start.")

    with pytest.raises(exceptions.FailedPrecondition, match="is not ready and cannot serve traffic"):
        operation.result()
    failed = plane.read(service.name)
    assert _state(revision, "Ready") == "FAILED"
    assert _state(failed, "ConfigurationsReady") == "FAILED"
    assert failed.terminal_condition.revision_reason.name == "HEALTH_CHECK_CONTAINER_ERROR"
    assert failed.latest_ready_revision == service.latest_ready_revision
    assert failed.traffic_statuses == service.traffic_statuses

    # traffic alone can still be moved, though the last deployment failed
    failed.traffic = [_to(service.latest_ready_revision, 100, "stable")]
    plane.change(failed, "traffic")
    plane.routes(service.name)
    assert plane.read(service.name).terminal_condition.state.name == "CONDITION_SUCCEEDED"


def test_traffic_for_a_failed_revision_breaks_the_routes_until_it_is_taken_away(plane: ControlPlane) -> None:
    service = plane.served()
    created = plane.deploy(service).latest_created_revision
    plane.fails(created)
    broken = plane.read(service.name)
    broken.traffic = [_to(service.latest_ready_revision, 90), _to(created, 10)]
    operation = plane.change(broken, "traffic")

    with pytest.raises(exceptions.FailedPrecondition, match="did not listen"):
        operation.result()
    assert _state(plane.read(service.name), "RoutesReady") == "FAILED"
    plane.deploy(service)
    assert _state(plane.read(service.name), "RoutesReady") == "FAILED"


def test_traffic_for_an_unknown_revision_fails_as_in_the_real_service(plane: ControlPlane) -> None:
    service = plane.served()
    before = service.traffic_statuses
    service.traffic = [_to("api-00009-xyz", 100)]

    operation = plane.operation(plane.change(service, "traffic"))

    assert operation.error.code == BY_NAME["INTERNAL"].number
    assert "Revision 'api-00009-xyz' does not exist or is deleted." in operation.error.message
    assert plane.read(service.name).traffic_statuses == before


def test_an_unknown_image_fails_the_revision_at_once(plane: ControlPlane) -> None:
    operation: Any = plane.services.create_service(
        parent=plane.location, service_id="api", service=service_of("gcr.io/none/api:2")
    )

    with pytest.raises(exceptions.NotFound, match=r"Image 'gcr\.io/none/api:2' not found"):
        operation.result()
    service = plane.read(f"{plane.location}/services/api")
    assert service.terminal_condition.reason.name == "CONTAINER_MISSING"
    assert not service.reconciling


def test_a_stale_etag_is_refused(plane: ControlPlane) -> None:
    stale = plane.served()
    plane.deploy(stale)
    stale.traffic = [_to(stale.latest_ready_revision, 100)]

    with pytest.raises(exceptions.Aborted, match="Conflict for resource 'api': version"):
        plane.change(stale, "traffic")
    with pytest.raises(exceptions.Aborted):
        plane.services.delete_service(request={"name": stale.name, "etag": stale.etag})
    stale.etag = ""
    assert plane.change(stale, "traffic")


def test_a_later_change_takes_over_from_one_that_is_not_done(plane: ControlPlane) -> None:
    service = plane.served()
    asked = plane.read(service.name)
    asked.template.labels["first"] = "yes"
    overtaken = plane.change(asked)
    plane.deploy(service)

    operation = plane.operation(overtaken)
    assert (operation.done, operation.error.code) == (True, BY_NAME["ABORTED"].number)


def test_writing_a_service_back_with_its_old_revision_name_is_a_conflict(plane: ControlPlane) -> None:
    service = plane.served(revision="api-one")
    assert service.latest_ready_revision.endswith("/api-one")
    service.template.timeout = "60s"

    with pytest.raises(
        exceptions.AlreadyExists, match="'api-one' with different configuration already exists"
    ):
        plane.change(service)
    service.traffic = [_to("api-one", 100)]
    assert plane.change(service, "traffic")  # the mask keeps the template out


def test_the_mask_names_what_is_changed_and_nothing_else_is(plane: ControlPlane) -> None:
    service = plane.served()
    asked = Service(name=service.name, description="new", traffic=[_to("api-none", 100)])

    plane.change(asked, "description")

    changed = plane.read(service.name)
    assert (changed.description, changed.generation) == ("new", 2)
    assert changed.traffic == service.traffic
    assert changed.latest_created_revision == service.latest_created_revision
    assert not changed.reconciling


@pytest.mark.parametrize("path", ["uri", "generation", "traffic_statuses", "template.nothing", "nothing"])
def test_a_mask_of_what_is_not_the_callers_is_refused(plane: ControlPlane, path: str) -> None:
    service = plane.ask()

    with pytest.raises(exceptions.InvalidArgument, match="update_mask"):
        plane.change(service, path)


def test_a_change_that_changes_nothing_makes_no_revision(plane: ControlPlane) -> None:
    service = plane.served()

    operation = plane.change(service)

    assert operation.result().generation == 1
    assert plane.read(service.name) == service


def test_validate_only_answers_and_changes_nothing(plane: ControlPlane) -> None:
    request = {
        "parent": plane.location,
        "service_id": "api",
        "service": service_of(IMAGE),
        "validate_only": True,
    }
    operation: Any = plane.services.create_service(request=request)
    assert operation.result().template.timeout.total_seconds() == 300
    assert not list(plane.services.list_services(parent=plane.location))

    service = plane.served()
    asked = Service(service)
    asked.description = "new"
    assert plane.change(asked, "description", validate_only=True).result().description == "new"
    plane.services.delete_service(request={"name": service.name, "validate_only": True})
    assert plane.read(service.name) == service
    asked.traffic = [_to("api-x", 50)]
    with pytest.raises(exceptions.InvalidArgument, match="must sum to 100, but is 50"):
        plane.change(asked, "traffic", validate_only=True)


def test_an_update_of_a_missing_service_creates_it_only_if_that_is_allowed(plane: ControlPlane) -> None:
    service = service_of(IMAGE)
    service.name = f"{plane.location}/services/api"

    with pytest.raises(exceptions.NotFound):
        plane.change(service)
    plane.change(service, allow_missing=True)
    assert plane.read(service.name).generation == 1
    with pytest.raises(exceptions.AlreadyExists):
        plane.ask()


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"revision": "other-1"}, r"must begin with \[api-\]"),
        ({"revision": "api-UPPER"}, r"must begin with \[api-\]"),
        ({"timeout": "3601s"}, "timeout"),
        ({"max_instance_request_concurrency": 1001}, "concurrency"),
        ({"scaling": {"min_instance_count": 5, "max_instance_count": 4}}, "min_instance_count"),
        ({"env": [{"name": "PORT", "value": "1"}]}, "reserved"),
        ({"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}, "twice"),
        ({"env": [{"name": "A", "value_source": {"secret_key_ref": {}}}]}, "must name a secret"),
        ({"startup_probe": {"period_seconds": 100, "failure_threshold": 3}}, "at most 240"),
        ({"startup_probe": {"timeout_seconds": 11, "http_get": {}}}, "timeout_seconds"),
        ({"containers": []}, "one container"),
    ],
)
def test_a_template_that_the_real_service_refuses_is_refused(
    plane: ControlPlane, fields: dict[str, Any], problem: str
) -> None:
    with pytest.raises(exceptions.InvalidArgument, match=problem):
        plane.ask(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"volumes": [{"name": "v"}]},
        {"startup_probe": {"grpc": {}}},
        {"containers": [{"image": "a"}, {"image": "b"}]},
    ],
)
def test_what_is_not_served_says_so(plane: ControlPlane, fields: dict[str, Any]) -> None:
    with pytest.raises(exceptions.MethodNotImplemented, match="not served by the local cloud"):
        plane.ask(**fields)


@pytest.mark.parametrize(
    ("traffic", "problem"),
    [
        ([{"revision": "api-1", "percent": 101}], "from 0 to 100"),
        (
            [{"revision": "api-1", "percent": 60}, {"revision": "api-2", "percent": 60}],
            "must sum to 100, but is 120",
        ),
        (
            [{"revision": "api-1", "percent": 100, "tag": "a"}, {"revision": "api-2", "tag": "a"}],
            "one traffic target",
        ),
        ([{"revision": "api-1", "percent": 100, "tag": "a" * 44}], "at most 46"),
        ([{"revision": "api-1", "percent": 100, "tag": "Blue"}], "lower-case"),
        ([{"type_": 1, "revision": "api-1", "percent": 100}], "must name a revision, or"),
        ([{"type_": 2, "percent": 100}], "must name a revision, or"),
    ],
)
def test_traffic_that_the_real_service_refuses_is_refused(
    plane: ControlPlane, traffic: list[dict[str, Any]], problem: str
) -> None:
    service = plane.ask()
    service.traffic = [TrafficTarget(target) for target in traffic]

    with pytest.raises(exceptions.InvalidArgument, match=problem):
        plane.change(service, "traffic")


def test_a_service_is_gone_when_nothing_of_it_is_served(plane: ControlPlane) -> None:
    service = plane.served()
    policy = {"bindings": [{"role": "roles/run.invoker", "members": ["allUsers"]}]}
    plane.services.set_iam_policy(request={"resource": service.name, "policy": policy})
    assert plane.services.get_iam_policy(request={"resource": service.name}).bindings

    operation: Any = plane.services.delete_service(name=service.name)
    assert plane.read(service.name).delete_time
    with pytest.raises(exceptions.FailedPrecondition, match="is being deleted"):
        plane.change(service, "traffic")
    plane.becomes_ready(service.latest_created_revision)
    plane.routes(service.name)
    plane.loses(service.name)

    assert operation.result().name == service.name
    with pytest.raises(exceptions.NotFound):
        plane.read(service.name)
    with pytest.raises(exceptions.NotFound):
        plane.revisions.get_revision(name=service.latest_created_revision)
    with pytest.raises(exceptions.NotFound):
        plane.services.get_iam_policy(request={"resource": service.name})
    plane.loses(service.name)
    assert plane.ask().generation == 1


def test_only_a_revision_that_nobody_is_sent_to_can_be_deleted(plane: ControlPlane) -> None:
    service = plane.served()
    first = service.latest_ready_revision
    second = plane.deploy(service).latest_created_revision
    plane.becomes_ready(second)

    with pytest.raises(exceptions.FailedPrecondition, match="latest created Revision"):
        plane.revisions.delete_revision(name=second)
    with pytest.raises(exceptions.FailedPrecondition, match="has traffic or a tag"):
        plane.revisions.delete_revision(name=first)
    plane.routes(service.name)
    plane.revisions.delete_revision(request={"name": first, "validate_only": True})
    with pytest.raises(exceptions.Aborted):
        plane.revisions.delete_revision(request={"name": first, "etag": '"old"'})
    operation: Any = plane.revisions.delete_revision(name=first)
    assert operation.result().name == first
    assert [revision.name for revision in plane.revisions.list_revisions(parent=service.name)] == [second]


def test_the_thousandth_revision_makes_room_for_the_next(plane: ControlPlane) -> None:
    service = plane.served()
    first = service.latest_created_revision
    second = plane.deploy(service).latest_created_revision
    with plane.store.writing() as rows:
        revision = plane.revisions.get_revision(name=first)
        for number in range(998):
            revision.name = f"{service.name}/revisions/api-old-{number}"
            rows.insert(revision.name, service.name, revision)

    third = plane.deploy(service).latest_created_revision

    names = {revision.name for revision in plane.revisions.list_revisions(parent=service.name)}
    assert len(names) == 1000
    assert {first, second, third} <= names  # the first has the traffic, the second was the latest
    assert f"{service.name}/revisions/api-old-0" not in names


def test_operations_are_listed_and_forgotten(plane: ControlPlane) -> None:
    plane.ask()
    (operation,) = plane.services.list_operations({"name": plane.location}).operations

    plane.services.delete_operation({"name": operation.name})

    assert not plane.services.list_operations({"name": plane.location}).operations
    with pytest.raises(exceptions.NotFound):
        plane.services.get_operation({"name": operation.name})


def test_a_status_that_cannot_be_read_is_an_error_of_the_faults_file(plane: ControlPlane) -> None:
    service = plane.served()
    (plane.data_dir / "faults.yaml").write_text(
        "- {method: google.cloud.run.v2.Services/GetService, code: 500}"
    )

    with pytest.raises(exceptions.InternalServerError, match="faults file"):
        plane.services.get_service(name=service.name, retry=None)


def test_what_the_node_reports_twice_changes_nothing(plane: ControlPlane) -> None:
    service = plane.ask()
    (operation,) = plane.services.list_operations({"name": plane.location}).operations
    assert not operation.done

    plane.becomes_ready(service.latest_created_revision)
    plane.becomes_ready(service.latest_created_revision)
    plane.fails(service.latest_created_revision)
    plane.routes(service.name)
    plane.routes(service.name)
    assert plane.services.get_operation({"name": operation.name}).done
    assert plane.read(service.name).terminal_condition.state.name == "CONDITION_SUCCEEDED"
