"""The managed Postgres: StatefulSet of one, Service, password, volume. Pure.

The password is made once and handed in; the Secret is created and never applied, because a new
password for an old volume locks everybody out. The volume is a claim of its own and not the
StatefulSet's: it may grow, be kept and be adopted without anything that cannot be changed.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from gossip_price.network.spec_parts import DeletionPolicy, Managed, PodPart
from gossip_price_operator import names
from gossip_price_operator.inputs import POSTGRES_PORT, Database, Inputs, Manifest
from gossip_price_operator.observed import Trouble
from gossip_price_operator.resources.metadata import (
    add_template_hash,
    compute_hash,
    make_metadata,
)
from gossip_price_operator.resources.node import make_volume_claim
from gossip_price_operator.resources.pods import (
    make_container_security,
    make_pod_security,
    make_pod_template,
)

USER: Final = "gossip_price"
DATABASE: Final = "prices"
#: `postgres` in the official image.
_POSTGRES_USER: Final = 999
_SECRET_PATH: Final = "/etc/postgres"  # noqa: S105 - a path
_DATA_PATH: Final = "/var/lib/postgresql/data"
#: Postgres writes what it holds in memory to disk before it ends.
_GRACE_S: Final = 120
RESOURCES: Final = {
    "requests": {"cpu": "100m", "memory": "256Mi"},
    "limits": {"memory": "1Gi"},
}
_MAJOR: Final = re.compile(r":(\d{1,3})(?:[.\-_].*)?$", re.ASCII)


def make_postgres_secret(inputs: Inputs, *, password: str) -> Manifest:
    """Return the Secret with the password and the URL that holds it. Create it, never apply it."""
    name = names.postgres(inputs.name)
    host = f"{name}.{inputs.namespace}.svc"
    url = f"postgresql://{USER}:{quote(password, safe='')}@{host}:{POSTGRES_PORT}/{DATABASE}"
    data = {"username": USER, "password": password, "database": DATABASE, "url": url}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _make_kept(inputs, name),
        "type": "Opaque",
        "immutable": True,
        "data": {key: base64.b64encode(text.encode()).decode() for key, text in data.items()},
    }


def make_postgres_secret_metadata(inputs: Inputs) -> Manifest:
    """Return what is applied to the password's Secret once it is there: labels and owner alone."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _make_kept(inputs, names.postgres(inputs.name)),
    }


def make_postgres_volume(inputs: Inputs, managed: Managed) -> Manifest:
    """Return the claim of the database's volume, marked with the major version that made it.

    The mark is of the image wanted now; `find_version_trouble` has compared it with the one of a
    volume that was there before.
    """
    major = find_major(_get_image(inputs, managed))
    annotations = {} if major is None else {names.POSTGRES_MAJOR: str(major)}
    return make_volume_claim(
        _make_kept(inputs, names.postgres(inputs.name), annotations),
        managed.storage.size,
        managed.storage.storage_class_name,
    )


def _make_kept(inputs: Inputs, name: str, annotations: Mapping[str, str] | None = None) -> Manifest:
    return make_metadata(
        inputs,
        name,
        names.POSTGRES,
        annotations=annotations,
        is_owned=inputs.spec.deletion_policy is DeletionPolicy.DELETE,
    )


def make_postgres_service(inputs: Inputs) -> Manifest:
    """Return the database's Service."""
    name = names.postgres(inputs.name)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": make_metadata(inputs, name, names.POSTGRES),
        "spec": {
            "clusterIP": "None",
            "selector": names.make_selector(inputs.name, names.POSTGRES),
            "ports": [
                {
                    "name": "postgres",
                    "port": POSTGRES_PORT,
                    "targetPort": "postgres",
                    "protocol": "TCP",
                }
            ],
        },
    }


def make_postgres(inputs: Inputs, managed: Managed) -> Manifest:
    """Return the database's StatefulSet."""
    name = names.postgres(inputs.name)
    container = {
        "name": "postgres",
        "image": _get_image(inputs, managed),
        "imagePullPolicy": inputs.defaults.image_pull_policy,
        "env": [
            {"name": "PGDATA", "value": f"{_DATA_PATH}/pgdata"},
            {"name": "POSTGRES_USER", "value": USER},
            {"name": "POSTGRES_DB", "value": DATABASE},
            {"name": "POSTGRES_PASSWORD_FILE", "value": f"{_SECRET_PATH}/password"},
        ],
        "ports": [{"name": "postgres", "containerPort": POSTGRES_PORT, "protocol": "TCP"}],
        "resources": RESOURCES,
        "securityContext": make_container_security(),
        "volumeMounts": [
            {"name": "secret", "mountPath": _SECRET_PATH, "readOnly": True},
            {"name": "data", "mountPath": _DATA_PATH},
            {"name": "run", "mountPath": "/var/run/postgresql"},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the container's own
        ],
        # A recovery after a crash may take ten minutes; it listens only when it is done.
        "startupProbe": _make_probe(5, 120),
        "livenessProbe": _make_probe(20, 6),
        "readinessProbe": _make_probe(5, 3),
    }
    template = make_pod_template(
        inputs,
        PodPart(),
        component=names.POSTGRES,
        container=container,
        volumes=[
            {
                "name": "secret",
                "secret": {
                    "secretName": name,
                    "items": [{"key": "password", "path": "password"}],
                    "defaultMode": 0o440,
                },
            },
            {"name": "data", "persistentVolumeClaim": {"claimName": name}},
            {"name": "run", "emptyDir": {"sizeLimit": "16Mi"}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
        ],
        spec={
            "serviceAccountName": name,
            "terminationGracePeriodSeconds": _GRACE_S,
            "securityContext": make_pod_security(_POSTGRES_USER),
        },
    )
    return add_template_hash(
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": make_metadata(inputs, name, names.POSTGRES),
            "spec": {
                "replicas": 1,
                "revisionHistoryLimit": 2,
                "serviceName": name,
                "selector": {"matchLabels": names.make_selector(inputs.name, names.POSTGRES)},
                "template": template,
            },
        }
    )


def _make_probe(period_s: int, failures: int) -> Manifest:
    # By TCP, because the server of an initialisation listens on its socket alone.
    command = ["pg_isready", "-h", "127.0.0.1", "-U", USER, "-d", DATABASE]
    return {
        "exec": {"command": command},
        "periodSeconds": period_s,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _get_image(inputs: Inputs, managed: Managed) -> str:
    return managed.image or inputs.defaults.postgres_image


def find_major(image: str) -> int | None:
    """Return the Postgres major version that an image's tag names; None where it names none."""
    match = _MAJOR.search(image.partition("@")[0])
    return int(match.group(1)) if match else None


def find_version_trouble(
    inputs: Inputs, managed: Managed, kept_volume: Mapping[str, Any] | None
) -> Trouble | None:
    """Return why the wanted Postgres may not open the volume that is there, if it is so.

    A data folder is of one major version: another server refuses it, in a loop, in its log only.
    """
    if kept_volume is None:
        return None
    annotations = kept_volume.get("metadata", {}).get("annotations") or {}
    kept = annotations.get(names.POSTGRES_MAJOR)
    image = _get_image(inputs, managed)
    wanted = find_major(image)
    if kept is None or wanted is None or kept == str(wanted):
        return None
    name = names.postgres(inputs.name)
    return Trouble(
        "PostgresVersionDiffers",
        f"volume {name} was made by Postgres {kept}, but {image} is wanted, which cannot open it;"
        f" remedy: set spec.postgres.managed.image to an image of Postgres {kept}, or dump and"
        f" restore the database by hand and annotate the new volume with"
        f" {names.POSTGRES_MAJOR}={wanted}",
    )


def make_managed_database(inputs_name: str) -> Database:
    """Return where a managed database's URL is."""
    name = names.postgres(inputs_name)
    return Database(secret_name=name, key="url", port=POSTGRES_PORT, fingerprint=compute_hash(name))
