"""Envoy's first configuration, which stays the same while it runs.

What belongs here: listeners, TLS, what is logged of a request, the words of Envoy's own answers. What is served to whom
comes later, by file (`rendering.py`). Written as Envoy's v3 API is in JSON.
"""

from dataclasses import dataclass
from typing import Any

from convergence_orchestration.local_gcp.front_door.directory import Directory
from convergence_orchestration.local_gcp.local_ca import leaf_path

ROUTES = "front_door"
LOOPBACK = "127.0.0.1"
STAT_PREFIX = "ingress"
# Nothing that a caller may word: path, host, request id and user agent might hold a key that was sent where none belongs.
_LOG_FORMAT = {
    "time": "%START_TIME(%Y-%m-%dT%H:%M:%S.%6fZ)%",
    "method": "%REQ(:METHOD)%",
    "status": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "duration_ms": "%DURATION%",
    "duration_us": "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%",
    "request_bytes": "%BYTES_RECEIVED%",
    "response_bytes": "%BYTES_SENT%",
    "project": "%METADATA(ROUTE:convergence:project)%",
    "location": "%METADATA(ROUTE:convergence:location)%",
    "service": "%METADATA(ROUTE:convergence:service)%",
    "revision": "%METADATA(ROUTE:convergence:revision)%",
    "tag": "%METADATA(ROUTE:convergence:tag)%",
    "upstream": "%UPSTREAM_HOST%",
}
# Cloud Run's own sentences, from its troubleshooting guide. A timeout keeps Envoy's, which Cloud Run shows too.
_NO_INSTANCE = "The request was aborted because there was no available instance."
_BROKEN = "The request failed because either the HTTP response was malformed or connection to the instance had an error."
_TOO_MANY = "Rate exceeded."


@dataclass(frozen=True)
class FrontDoorPorts:
    """Where Envoy listens: HTTP/1.1 and h2 in clear, the same with TLS, its administration (0: any).

    Attributes:
        host: of the first two; the administration is on 127.0.0.1.
        source: the address that instances see Envoy come from.
        is_https_only: whoever asks in clear is sent to the port with TLS, as Cloud Run does it.
    """

    http: int
    https: int
    admin: int = 0
    host: str = LOOPBACK
    source: str = LOOPBACK
    is_https_only: bool = False


def bootstrap(directory: Directory, ports: FrontDoorPorts) -> dict[str, Any]:
    """The whole document."""
    routes = {"rds": {"route_config_name": ROUTES, "config_source": _file(directory.routes)}}
    in_clear = {"route_config": _to_https(ports.https)} if ports.is_https_only else routes
    return {
        "node": {"id": "front-door", "cluster": "front-door"},
        "admin": {"address": _address(LOOPBACK, ports.admin)},
        "cluster_manager": {
            "upstream_bind_config": {"source_address": _address(ports.source, 0)["socket_address"]}
        },
        "dynamic_resources": {"cds_config": _file(directory.clusters)},
        "static_resources": {
            "listeners": [
                _listener("http", _address(ports.host, ports.http), _connections(directory, in_clear)),
                _listener(
                    "https",
                    _address(ports.host, ports.https),
                    _connections(directory, routes),
                    _tls(directory),
                ),
            ]
        },
    }


def secrets(directory: Directory) -> dict[str, Any]:
    """The certificate by the name of its file, which Envoy reads anew when a file is moved into its directory."""
    leaf = leaf_path(directory.root)
    certificate = {
        "certificate_chain": {"filename": str(leaf)},
        "private_key": {"filename": str(leaf)},
        "watched_directory": {"path": str(leaf.parent)},
    }
    kind = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
    return {"resources": [{"@type": kind, "name": "leaf", "tls_certificate": certificate}]}


def _listener(
    name: str, address: dict[str, Any], connections: dict[str, Any], tls: dict[str, Any] | None = None
) -> dict[str, Any]:
    chain: dict[str, Any] = {"filters": [{"name": "http", "typed_config": connections}]}
    if tls is not None:
        chain["transport_socket"] = tls
    # With reuse_port two Envoys could share a port and answer in turns.
    return {"name": name, "address": address, "enable_reuse_port": False, "filter_chains": [chain]}


def _connections(directory: Directory, routes: dict[str, Any]) -> dict[str, Any]:
    return {
        **routes,
        "@type": _filter("network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": STAT_PREFIX,
        "codec_type": "AUTO",
        "use_remote_address": True,
        "skip_xff_append": True,  # the routes do: Envoy names another address of the machine instead of a loopback one
        # nobody may give Envoy orders by x-envoy-* headers, not even from this machine
        "internal_address_config": {"cidr_ranges": [{"address_prefix": "192.0.2.1", "prefix_len": 32}]},
        "server_header_transformation": "PASS_THROUGH",
        "preserve_external_request_id": True,
        "request_id_extension": {
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig",
                "pack_trace_reason": False,  # it would write into identifiers that are the caller's
            }
        },
        "strip_any_host_port": True,
        "stream_idle_timeout": "0s",  # the revision's timeout counts
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "local_reply_config": {"mappers": _replies()},
        "access_log": [_access_log(directory)],
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": _filter("http.router.v3.Router"), "suppress_envoy_headers": True},
            }
        ],
    }


def _to_https(port: int) -> dict[str, Any]:
    there = {"https_redirect": True, "port_redirect": port, "response_code": "FOUND"}
    everybody = {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "redirect": there}]}
    return {"name": "to_https", "virtual_hosts": [everybody]}


def _replies() -> list[dict[str, Any]]:
    return [
        _reply(["UO"], 429, _TOO_MANY),
        _reply(["UH"], 503, _NO_INSTANCE),
        _reply(["UF", "UC", "UR", "LR", "UPE"], 503, _BROKEN),
    ]


def _reply(flags: list[str], status: int, sentence: str) -> dict[str, Any]:
    return {
        "filter": {"response_flag_filter": {"flags": flags}},
        "status_code": status,
        "body": {"inline_string": f"{sentence}\n"},
    }


def _access_log(directory: Directory) -> dict[str, Any]:
    return {
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": str(directory.access_log),
            "log_format": {"json_format": _LOG_FORMAT},
        },
    }


def _tls(directory: Directory) -> dict[str, Any]:
    certificates = [{"name": "leaf", "sds_config": _file(directory.secrets)}]
    return {
        "name": "tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {
                "alpn_protocols": ["h2", "http/1.1"],
                "tls_certificate_sds_secret_configs": certificates,
            },
        },
    }


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def _file(path: object) -> dict[str, Any]:
    return {"path_config_source": {"path": str(path)}, "resource_api_version": "V3"}


def _filter(name: str) -> str:
    return f"type.googleapis.com/envoy.extensions.filters.{name}"
