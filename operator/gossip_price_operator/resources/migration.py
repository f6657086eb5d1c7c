"""The migration: a Job that is created once for each image and database, and never changed. Pure.

Its name holds a hash of both, so that another image is another Job, and the one that is there
says whether this pair is done. It has no time to live: a Job that vanished would be made again.
"""

from __future__ import annotations

from typing import Final

from gossip_price.network.spec_parts import PodPart
from gossip_price_operator import names
from gossip_price_operator.inputs import Inputs, Manifest
from gossip_price_operator.resources.metadata import compute_hash, make_metadata
from gossip_price_operator.resources.node import (
    DATABASE_PATH,
    make_database_volume,
    make_tmp_volume,
)
from gossip_price_operator.resources.pods import make_container_security, make_pod_template

#: A database that comes an hour late still gets its schema; nodes keep what they prove meanwhile.
_DEADLINE_S: Final = 3600
_RETRIES_MAX: Final = 100
RESOURCES: Final = {
    "requests": {"cpu": "50m", "memory": "128Mi"},
    "limits": {"memory": "256Mi"},
}


def get_migration_name(inputs: Inputs) -> str:
    """Return the name of the Job for the wanted image and database."""
    database = inputs.database
    digest = compute_hash(
        [inputs.node_image, database.secret_name, database.key, database.fingerprint], length=10
    )
    return names.migration(inputs.name, digest)


def make_migration(inputs: Inputs) -> Manifest:
    """Return the Job. Create it where its name is not there; never apply it."""
    # A Job's pod template cannot be changed: what the user lays over nodes has no part in it.
    template = make_pod_template(
        inputs,
        PodPart(),
        component=names.MIGRATION,
        container={
            "name": "migrate",
            "image": inputs.node_image,
            "imagePullPolicy": inputs.defaults.image_pull_policy,
            "args": ["migrate"],
            "env": [{"name": "GP_DATABASEURL_FILE", "value": f"{DATABASE_PATH}/url"}],
            "resources": RESOURCES,
            # What it says at its end is what status tells people.
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "securityContext": make_container_security(),
            "volumeMounts": [
                {"name": "database", "mountPath": DATABASE_PATH, "readOnly": True},
                {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the container's own
            ],
        },
        volumes=[make_database_volume(inputs.database), make_tmp_volume()],
        spec={"serviceAccountName": names.nodes(inputs.name), "restartPolicy": "OnFailure"},
    )
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": make_metadata(inputs, get_migration_name(inputs), names.MIGRATION),
        "spec": {
            "backoffLimit": _RETRIES_MAX,
            "activeDeadlineSeconds": _DEADLINE_S,
            "template": template,
        },
    }
