"""The variables that turn `gcloud` to the local cloud.

What belongs here: names and values, nothing is run. Google's own configuration of the user is neither read nor changed.
"""

from pathlib import Path


def gcloud_environment(rest_port: int, project: str, data_dir: Path) -> dict[str, str]:
    """Variables under which `gcloud kms ...` and `gcloud secrets ...` work unchanged on the local cloud."""
    address = f"http://127.0.0.1:{rest_port}/"
    return {
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS": address,
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER": address,
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "true",
        "CLOUDSDK_CONFIG": str(data_dir.resolve() / "gcloud"),
        "CLOUDSDK_CORE_DISABLE_FILE_LOGGING": "true",  # its log files hold whole command lines
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "true",
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true",
        "CLOUDSDK_CORE_PROJECT": project,
        "CLOUDSDK_SURVEY_DISABLE_PROMPTS": "true",
    }
