"""google.iam.v1.IAMPolicy for Cloud KMS.

What belongs here: which of Cloud KMS's resources hold a policy. The policies themselves: `iam.py`.
"""

from google.cloud.kms_v1 import KeyRing
from google.cloud.kms_v1.services.key_management_service.transports.rest_base import (
    _BaseKeyManagementServiceRestTransport,
)

from convergence_orchestration.local_gcp.iam import PolicyHolders
from convergence_orchestration.local_gcp.kms import names, versions
from convergence_orchestration.local_gcp.refusals import invalid, not_found
from convergence_orchestration.local_gcp.store import Rows


class KeyPolicies(PolicyHolders):
    """Policies of key rings and keys."""

    full_name = "google.iam.v1.IAMPolicy"
    host = "cloudkms.googleapis.com"
    http_rules = _BaseKeyManagementServiceRestTransport  # which carries IAM's rules too

    def require_holder(self, resource: str, rows: Rows) -> None:
        """Refuse unless this is a key ring or a key."""
        if names.CRYPTO_KEY.fullmatch(resource):
            versions.require_key(rows, resource)
        elif not names.KEY_RING.fullmatch(resource):
            invalid(f"Resource [{resource}] is neither a KeyRing nor a CryptoKey.")
        elif rows.get(KeyRing, resource) is None:
            not_found(f"KeyRing {resource}")
