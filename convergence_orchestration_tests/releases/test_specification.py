import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.releases.checklist.items import Item
from convergence_orchestration.releases.model import ReleaseId
from convergence_orchestration.releases.specification import parse_specification, specification_of
from convergence_orchestration.releases.template import (
    changed_service,
    revision_name,
    revision_template,
    traffic_targets,
)
from convergence_orchestration.settings import Environment, load_settings

IMAGE = "registry/api@sha256:" + "a" * 64


def test_the_guides_values_are_the_environments() -> None:
    staging, production = (specification_of(Environment(name)) for name in ("staging", "production"))
    assert (staging.service, staging.memory, staging.cpu) == ("convergence-api-staging", "2Gi", 2)
    assert (staging.timeout_seconds, staging.concurrency) == (300, 100)
    assert (staging.min_instances, staging.max_instances) == (1, 10)
    assert (production.service, production.memory, production.cpu) == ("convergence-api-prod", "4Gi", 4)
    assert (production.timeout_seconds, production.concurrency) == (300, 200)
    assert (production.min_instances, production.max_instances, production.tags[0]) == (2, 50, "blue")
    assert production.checklist == tuple(Item)
    assert specification_of(Environment.DEVELOPMENT).service == "convergence-api-dev"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("service: API", "Correct it.yaml: service: String should match"),
        ("service: api\nmemory: lots", "memory: "),
        ("service: api\nmemery: 2Gi", "memery: Extra inputs"),
        ("service: api\ncpu: 3", "cpu: Input should be 1, 2, 4"),
        ("service: api\nmin_instances: 11", "min_instances must not be more than max_instances"),
        ("service: api\ntags: [blue, blue]", "tags must differ"),
        ("service: api\ntags: [blue]", "tags: Tuple should have at least 2"),
        (f"service: a{'b' * 43}", "at most 46 letters together"),
        ("service: api\nvariables: {PORT: '1'}", "PORT is set by Cloud Run itself"),
        ("service: api\nvariables: {ADMIN_API_KEY: x}", "name ADMIN_API_KEY under secrets"),
        ("service: api\nsecrets: {A: {secret: a, version: latest}}", "secrets.A.version: "),
        (
            "service: api\nvariables: {A: b}\nsecrets: {A: {secret: a, version: 1}}",
            "both a variable and a secret",
        ),
        ("service: api\nstartup_probe: {period_seconds: 1}", "timeout_seconds must not be more"),
        ("service: api\nstartup_probe: {failure_threshold: 500}", "at most 240"),
        ("service: api\nprivate_network: {network: default}", "private_network.subnetwork: "),
        ("service: api\nchecklist: [luck]", "checklist.0: "),
        ("[", "Write it.yaml as YAML"),
        ("", "service: Field required"),
    ],
)
def test_a_wrong_specification_says_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(PermanentError) as caught:
        parse_specification(text, "it.yaml")
    assert caught.value.code is ErrorCode.INVALID_SETTINGS
    assert says in caught.value.message


def test_a_template_says_all_that_the_specification_does() -> None:
    text = "service: api\nvariables: {LOG_LEVEL: INFO, KMS_KEY: other}\nsecrets: {TOKEN: {secret: token, version: 3}}"
    specification = parse_specification(text, "it.yaml")
    settings = load_settings(_env_file=None, environment="staging", kms_project_id="keys-project")

    template = revision_template(specification, settings, IMAGE, ReleaseId("v1"))

    container = template.containers[0]
    variables = {one.name: one.value for one in container.env if one.value}
    assert variables["ENVIRONMENT"] == "staging"
    assert variables["KMS_KEYRING"] == "convergence-keyring-staging"
    assert (variables["KMS_KEY"], variables["KMS_PROJECT_ID"]) == ("other", "keys-project")
    (secret,) = [one.value_source.secret_key_ref for one in container.env if not one.value]
    assert (secret.secret, secret.version) == ("token", "3")
    assert container.image == IMAGE
    assert dict(container.resources.limits) == {"cpu": "2", "memory": "2Gi"}
    assert container.startup_probe.http_get.path == "/health/live"
    assert template.service_account == settings.service_account_email
    assert template.timeout.total_seconds() == 300
    assert template.max_instance_request_concurrency == 100
    service = changed_service(specification, template, traffic_targets(()), "etag")
    assert (service.ingress.name, service.invoker_iam_disabled) == ("INGRESS_TRAFFIC_ALL", True)


def test_a_revisions_name_follows_from_release_and_content_and_fits() -> None:
    one = revision_name("convergence-api-prod", ReleaseId("v1.0.0"), "x")
    assert one == revision_name("convergence-api-prod", ReleaseId("v1.0.0"), "x")
    assert one.startswith("convergence-api-prod-v1-0-0-")
    assert one != revision_name("convergence-api-prod", ReleaseId("v1.0.0"), "y")
    assert len(revision_name("a" * 46, ReleaseId("R" * 100), "x")) <= 63
    assert revision_name("api", ReleaseId("9_"), "x").startswith("api-9-")


def test_instances_have_an_address_in_the_private_network_if_one_is_named() -> None:
    specification = parse_specification(
        "service: api\nprivate_network: {network: convergence, subnetwork: run}", "it.yaml"
    )
    other = parse_specification("service: api", "it.yaml")

    template, plain = (
        revision_template(one, load_settings(), IMAGE, ReleaseId("v1")) for one in (specification, other)
    )

    interface = template.vpc_access.network_interfaces[0]
    assert (interface.network, interface.subnetwork) == ("convergence", "run")
    assert template.vpc_access.egress.name == "PRIVATE_RANGES_ONLY"
    assert "vpc_access" not in plain
    assert template.revision != plain.revision
