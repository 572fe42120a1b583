"""The front door with real Envoys; what can be told without one is in the other files here."""

import json
import socket
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from convergence_orchestration.local_gcp.front_door.measurements import read_samples
from convergence_orchestration.local_gcp.front_door_contract import (
    ROUTES_FILE,
    RoutedInstance,
    RoutedRevision,
    Routes,
    read_status,
    write_routes,
)
from convergence_orchestration.local_gcp.local_ca import ca_path
from convergence_orchestration.releases.answering import client
from convergence_orchestration_tests.emulators import stop
from convergence_orchestration_tests.local_gcp.front_door.doors import (
    PROJECT,
    Door,
    Instance,
    eventually,
    load_on,
    revision,
    running_door,
    service,
    start,
)

_TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with running_door(tmp_path_factory.mktemp("door")) as running:
        yield running


@pytest.fixture(scope="module")
def blue() -> Instance:
    return Instance("blue")


@pytest.fixture(scope="module")
def green() -> Instance:
    return Instance("green")


def _log_lines(door: Door) -> list[dict[str, object]]:
    return [json.loads(line) for line in (door.data_dir / "access.log").read_text().splitlines()]


def _logged(door: Door, revision_name: str) -> dict[str, object]:
    return eventually(
        lambda: next((line for line in _log_lines(door) if line["revision"] == revision_name), None)
    )


def test_with_https_alone_whoever_asks_in_clear_is_sent_there(tmp_path: Path, blue: Instance) -> None:
    with running_door(tmp_path / "secure", "--https-only") as door:
        door.serve(service(revision("api-1", blue, percent=100)))

        answer = door.get("/a?b=c")

        assert answer.status_code == httpx.codes.FOUND
        assert answer.headers["Location"] == f"https://api.localhost:{door.https_port}/a?b=c"
        with client(str(ca_path(door.data_dir))) as http:
            assert http.get(answer.headers["Location"]).text == "blue"


def test_requests_are_split_as_asked(door: Door, blue: Instance, green: Instance) -> None:
    door.serve(service(revision("api-1", blue, percent=90), revision("api-2", green, percent=10)))

    with load_on(door, threads=3, pause=0) as load:
        eventually(lambda: sum(load.answers.values()) >= 1000)

    share = load.answers["green"] / sum(load.answers.values())
    assert 0.06 < share < 0.15  # four standard deviations
    assert not load.failures


def test_a_tag_reaches_its_revision_alone_whatever_its_share(
    door: Door, blue: Instance, green: Instance
) -> None:
    door.serve(
        service(revision("api-1", blue, percent=100), revision("api-2", green, tags=("candidate",))),
        service(revision("jobs-1", green, percent=100), name="jobs"),
        service(revision("empty-1", green), name="empty"),
    )

    assert door.get(host="candidate---api.localhost").text == "green"
    assert door.get(host=f"candidate---api.localhost:{door.http_port}").text == "green"
    assert door.get(host="api.localhost").text == "blue"
    assert door.get(host="jobs.localhost").text == "green"
    assert door.get(host="127.0.0.1").text == "blue"  # the first service
    for unknown in ("old---api.localhost", "none.localhost", "empty.localhost"):
        assert door.get(host=unknown).status_code == 404


def test_what_is_told_of_a_request_is_passed_on_and_orders_to_envoy_are_not(
    door: Door, blue: Instance
) -> None:
    door.serve(service(revision("api-logged", blue, percent=100)))
    sent = {
        "traceparent": _TRACE,
        "X-Request-ID": "6c6b2187-8072-401f-b613-936a68936980",
        "X-Forwarded-For": "203.0.113.7",
        "x-envoy-upstream-rq-timeout-ms": "1",
        "X-API-Key": "never-in-a-log",
        "User-Agent": "never-in-a-log",
    }

    with httpx.Client() as client:
        answer = client.get(f"{door.url}/wait/0.05?never-in-a-log", headers=sent)

    assert answer.status_code == 200
    seen = {name.lower(): value for name, value in blue.headers_seen[-1].items()}
    assert seen["traceparent"] == _TRACE
    assert seen["x-request-id"] == sent["X-Request-ID"]
    assert seen["x-forwarded-for"] == "203.0.113.7,127.0.0.1"
    assert seen["x-forwarded-proto"] == "http"
    assert not [name for name in seen if name.startswith("x-envoy")]

    line = _logged(door, "api-logged")
    assert line["status"] == 200
    assert line["tag"] is None
    assert sent["X-Request-ID"] not in str(line), "it might be a key"
    assert "wait" not in str(line), "a path might hold a key"
    content = (door.data_dir / "access.log").read_text()
    assert "never-in-a-log" not in content


def test_tls_is_verified_by_the_local_authority_and_by_nobody_else(door: Door, blue: Instance) -> None:
    door.serve(service(revision("api-1", blue, percent=100, tags=("blue",))))
    trusting = ssl.create_default_context(cafile=str(ca_path(door.data_dir)))
    url = f"https://127.0.0.1:{door.https_port}/"

    for host in ("localhost", "127.0.0.1", "api.localhost", "blue---api.localhost"):
        with httpx.Client(verify=trusting, headers={"Host": host}) as client:
            assert client.get(url, extensions={"sni_hostname": host}).text == "blue"
    seen = {name.lower(): value for name, value in blue.headers_seen[-1].items()}
    assert seen["x-forwarded-proto"] == "https"

    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"), httpx.Client() as client:
        client.get(url)


def test_h2_is_spoken_over_tls_and_in_clear(door: Door, blue: Instance) -> None:
    door.serve(service(revision("api-1", blue, percent=100)))
    context = ssl.create_default_context(cafile=str(ca_path(door.data_dir)))
    context.set_alpn_protocols(["h2", "http/1.1"])
    address = ("127.0.0.1", door.https_port)
    with (
        socket.create_connection(address) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        assert secure.selected_alpn_protocol() == "h2"
    with socket.create_connection(("127.0.0.1", door.http_port)) as clear:
        clear.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
        assert clear.recv(9)[3] == 4  # a SETTINGS frame


def test_the_timeout_is_each_revisions_own(door: Door, blue: Instance, green: Instance) -> None:
    slow = revision("api-1", blue, tags=("slow",), percent=50, timeout_seconds=5.0)
    quick = revision("api-2", green, tags=("quick",), percent=50, timeout_seconds=0.1)
    door.serve(service(slow, quick))

    assert door.get("/wait/0.4", host="slow---api.localhost").status_code == 200
    refused = door.get("/wait/0.4", host="quick---api.localhost")
    assert refused.status_code == 504
    assert refused.text == "upstream request timeout"
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: door.get("/wait/0.4").text, range(16)))
    assert set(answers) == {"blue", "upstream request timeout"}


def test_no_instance_is_503_and_too_many_requests_are_429_as_cloud_run_says_it(door: Door) -> None:
    with Instance("busy") as busy:
        narrow = revision("api-1", busy, percent=100, max_concurrency=1)
        gone = RoutedInstance("127.0.0.1", 9)  # nobody listens there
        dead = RoutedRevision("api-3", ("dead",), 0, 5.0, 10, (gone,))
        door.serve(service(narrow, revision("api-2", tags=("none",)), dead))

        none = door.get(host="none---api.localhost")
        assert none.status_code == 503
        assert none.text == "The request was aborted because there was no available instance.\n"
        broken = door.get(host="dead---api.localhost")
        assert broken.status_code == 503
        assert broken.text.startswith("The request failed because either the HTTP response was malformed")

        with ThreadPoolExecutor(6) as threads:
            asked = [threads.submit(door.get, "/hold") for _ in range(6)]
            busy.held.acquire()
            eventually(lambda: sum(one.done() for one in asked) == 4)
            busy.release.set()
            statuses = Counter(one.result().status_code for one in asked)
        assert statuses == {200: 2, 429: 4}  # one under way, one waiting
        assert {one.result().text for one in asked} == {"busy", "Rate exceeded.\n"}


def test_changes_under_load_lose_no_request_and_are_live_at_once(
    door: Door, blue: Instance, green: Instance
) -> None:
    with load_on(door, path="/wait/0.01") as load:
        door.serve(service(revision("api-1", blue, percent=100)))
        load.failures.clear()  # the former test's routes
        door.seconds_to_serve.clear()
        for percent in range(10, 101, 10):
            door.serve(
                service(
                    revision("api-1", blue, percent=100 - percent), revision("api-2", green, percent=percent)
                )
            )
        first_only = [revision("api-1"), revision("api-2", green, percent=100)]
        door.serve(service(*first_only))
        door.serve(service(revision("api-1", blue, percent=100)))
        door.serve(service(revision("api-3", green, percent=100)))

    assert not load.failures
    assert load.answers["blue"]
    assert load.answers["green"]
    quickest = sorted(door.seconds_to_serve)
    assert quickest[len(quickest) // 2] < 0.5  # 0.05 on a quiet machine


def test_what_is_under_way_at_a_revision_that_goes_is_answered(
    door: Door, blue: Instance, green: Instance
) -> None:
    door.serve(service(revision("api-1", blue, percent=100)))
    with ThreadPoolExecutor(1) as threads:
        under_way = threads.submit(door.get, "/hold")
        blue.held.acquire()
        door.serve(service(revision("api-2", green, percent=100)))
        assert door.get().text == "green"
        blue.release.set()
        assert under_way.result().text == "blue"
    blue.release.clear()


def test_how_busy_a_revision_is_stands_in_the_status(door: Door, blue: Instance) -> None:
    door.serve(service(revision("api-1", blue, percent=100)))
    with ThreadPoolExecutor(3) as threads:
        held = [threads.submit(door.get, "/hold") for _ in range(3)]
        try:
            door.wait_for(lambda status: status.in_flight.get("api-1", 0) > 0.5)
        finally:
            blue.release.set()
        assert {one.result().status_code for one in held} == {200}
    blue.release.clear()


def test_a_refused_configuration_leaves_the_last_good_one(door: Door, blue: Instance) -> None:
    good = door.serve(service(revision("api-1", blue, percent=100)))
    nowhere = RoutedRevision("api-9", (), 100, 5.0, 10, (RoutedInstance("not an address", 80),))

    door.ask_for(service(nowhere))

    status = door.wait_for(lambda status: status.refused)
    assert status.version == good.version
    assert "malformed IP address" in str(status.refused)
    assert "Envoy refuses the new routes" in door.log
    assert door.get().text == "blue"
    door.envoy.kill()
    eventually(lambda: door.envoys() and door.admin.is_ready())
    assert door.get().text == "blue"
    assert door.serve(service(revision("api-1", blue, percent=100))).refused is None


def test_torn_routes_are_passed_over(door: Door, blue: Instance) -> None:
    good = door.serve(service(revision("api-1", blue, percent=100)))

    (door.data_dir / ROUTES_FILE).write_text('{"version": 99, "services": [{"name"')

    door.wait_for(lambda status: status.refused)
    with pytest.raises(AssertionError, match="never became true"):
        door.wait_for(lambda status: status.refused is None, patience=0.3)
    assert read_status(door.data_dir).version == good.version
    assert f"Write {ROUTES_FILE} anew" in door.log
    assert door.get().text == "blue"
    write_routes(door.data_dir, Routes(good.version, (service(revision("api-1", blue, percent=100)),)))
    door.wait_for(lambda status: status.refused is None)


def test_a_killed_envoy_is_back_within_a_second_with_its_routes(door: Door, blue: Instance) -> None:
    door.serve(service(revision("api-1", blue, percent=100)))
    with load_on(door) as load:
        eventually(lambda: load.answers["blue"] > 20)
        killed = door.envoy
        killed.kill()
        eventually(lambda: load.failures)
        answered = load.answers["blue"]
        eventually(lambda: load.answers["blue"] > answered + 50)
        still = len(load.failures)
        eventually(lambda: load.answers["blue"] > answered + 80)

    assert door.envoy.pid != killed.pid
    assert len(load.failures) == still
    assert load.outage() < 3  # 0.3 s on a quiet machine


def test_traffic_goes_on_while_the_supervising_process_is_dead_and_its_successor_counts_nothing_twice(
    tmp_path: Path, blue: Instance, green: Instance
) -> None:
    with running_door(tmp_path, "--max-log-bytes", "20000") as door:
        door.serve(service(revision("api-1", blue, percent=100)))
        envoy = door.envoy.pid
        with load_on(door) as load:
            for _ in range(2):
                answered = load.answers["blue"]
                door.process.kill()
                door.process.wait()
                eventually(lambda least=answered + 40: load.answers["blue"] > least)  # type: ignore[misc]
                start(door)
            door.serve(service(revision("api-1", blue), revision("api-2", green, percent=100)))
            eventually(lambda: load.answers["green"] > 20)

        assert not load.failures
        assert door.envoy.pid == envoy
        eventually(lambda: _counted(door) == sum(load.answers.values()))
        assert list(tmp_path.glob("access.log.*"))  # it was begun anew meanwhile
        eventually((tmp_path / "access.log").exists)


def _counted(door: Door) -> int:
    now = int(time.time())
    samples, _ = read_samples(door.data_dir / "front_door.sqlite3", PROJECT, (now - 3600, now + 60), 60)
    return sum(sample.amount.count for sample in samples)


def test_a_second_front_door_on_the_directory_is_refused(door: Door) -> None:
    command = [sys.executable, "-m", "convergence_orchestration.local_gcp.front_door"]
    command += ["--data-dir", str(door.data_dir), "--http-port", "1", "--https-port", "2"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)

    assert ended.returncode == 1
    assert "another front door uses this one" in ended.stderr
    assert door.envoys()


def test_an_envoy_whose_supervisor_died_is_adopted_or_ended(tmp_path: Path, blue: Instance) -> None:
    with running_door(tmp_path) as door:
        door.serve(service(revision("api-1", blue, percent=100)))
        first = door.envoy.pid
        door.process.kill()
        door.process.wait()
        # as if it was killed before it had recorded its Envoy, and its last good routes were lost
        (tmp_path / "front_door" / "envoy.pid.json").unlink()
        (tmp_path / "front_door" / "last_good" / ROUTES_FILE).write_text("torn")

        start(door)
        assert door.serve(service(revision("api-1", blue, percent=100))).refused is None
        assert door.envoy.pid == first
        assert "The routes before are lost" in door.log
        door.process.kill()
        door.process.wait()

        with socket.create_server(("127.0.0.1", 0)) as taken:
            free, door.http_port = door.http_port, taken.getsockname()[1]
            start(door)
            assert door.process.wait() == 1
            assert f"Choose another --http-port: {door.http_port} is taken." in door.log
        assert not door.envoys()  # it had other ports
        door.http_port = free

        start(door)
        eventually(lambda: door.envoys() and door.admin.is_ready())
        assert door.get().text == "blue"
        assert stop(door.process) == 0
        assert not door.envoys()
