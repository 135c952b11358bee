"""The archive that settings name: what hub and worker are told, and that a worker so told fills it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from kubeshark.cli._main import build_parser
from kubeshark.cluster import _archive
from kubeshark.core_capture.store import open_store
from kubeshark.core_capture.store.places._names import INDEX_SUFFIX
from kubeshark.core_capture.store.places.aws import _sts as _aws_sts
from kubeshark.core_capture.store.places.aws._keys import AwsKeys
from kubeshark.errors import UsageError
from tests.cli._command import kubeshark
from tests.cluster._settings import CLOUD, CLOUDS, ROLE, by_name, objects
from tests.core_capture.store._servers import ACCESS, BUCKET, SECRET, Server
from tests.core_capture.store._sts import StsServer, sts
from tests.pipeline.reading.test_twins import ID, store_of, traffic
from tests.worker._cluster import Pki, Process

PODS = {"kubeshark-hub": ("Deployment", "--archive"), "kubeshark-worker": ("DaemonSet", "--upload")}


def container(made: list[dict[str, Any]], name: str) -> dict[str, Any]:
    [one] = by_name(made)[PODS[name][0], name]["spec"]["template"]["spec"]["containers"]
    return dict(one)


@pytest.mark.parametrize("kind", CLOUDS)
def test_hub_and_worker_are_told_the_same(kind: str) -> None:
    chosen, url = CLOUDS[kind]
    for name, (_, option) in PODS.items():
        words: list[str] = container(objects(*chosen), name)["args"]
        assert words[words.index(option) + 1] == url
        args = build_parser(words[0]).parse_args(words)
        assert (args.archive if words[0] == "hub" else [args.upload]) == [url]


def test_nobody_is_told_where_there_is_none() -> None:
    for name, (_, option) in PODS.items():
        assert option not in container(objects(), name)["args"]


def test_credentials_are_the_environment_of_both_and_in_no_argument() -> None:
    made = objects(*CLOUDS["s3"][0])
    for name in PODS:
        assert container(made, name)["envFrom"] == [{"secretRef": {"name": "captures-s3"}}]
    [front] = by_name(made)["Deployment", "kubeshark-front"]["spec"]["template"]["spec"]["containers"]
    assert "envFrom" not in front


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((f"{CLOUD}.provider=s3",), "s3.bucket is empty"),
        ((f"{CLOUD}.provider=gcs",), "gcs.bucket is empty"),
        ((f"{CLOUD}.provider=azblob", f"{CLOUD}.azblob.container=a"), "azblob.storageAccount is empty"),
        ((f"{CLOUD}.provider=s3", f"{CLOUD}.s3.bucket=a/b"), "has a slash"),
        ((f"{CLOUD}.provider=s3", f"{CLOUD}.s3.bucket=a", "store.url=s3://b/c"), "both say where"),
        (("store.url=memory://lab",), "not shared by pods"),
    ],
)
def test_what_is_no_archive_is_refused(given: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        objects(*given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((f"{CLOUD}.provider=s3", f"{CLOUD}.s3.bucket=a", f"{CLOUD}.prefix=/lab"), "empty or dotted parts"),
        ((f"{CLOUD}.provider=s3", f"{CLOUD}.s3.bucket=a", f"{CLOUD}.prefix=../lab"), "empty or dotted parts"),
        (("store.url=https://node-1:8898",), "is no archive"),
    ],
)
def test_tap_refuses_what_is_no_url_before_it_asks_the_cluster(given: tuple[str, ...], said: str) -> None:
    words = [word for each in given for word in ("--set", each)]
    done = kubeshark("tap", "--dryRun", *words, KUBECONFIG="/nowhere")
    assert done.returncode == 2
    assert said in done.stderr


def worker_with(worker: Process, environment: dict[str, str], server: StsServer) -> Process:
    """Tell a worker its environment, and the server, which gives the same keys for a role, whose they are."""
    server.callers, server.keys = [AwsKeys(ACCESS, SECRET)], AwsKeys(ACCESS, SECRET, "token")
    worker.environment = {**environment, "AWS_ENDPOINT_URL_STS": server.endpoint}
    return worker


@pytest.mark.parametrize("by", ["keys", "role"])
def test_a_worker_so_told_fills_it(tmp_path: Path, url: str, moto_s3: Server, by: str) -> None:
    """Region, endpoint and role come from the configuration that is mounted, credentials from the environment."""
    role = (f"{CLOUD}.s3.roleArn={ROLE}", f"{CLOUD}.s3.externalId=lab/7") if by == "role" else ()
    prefix = url.removeprefix(f"s3://{BUCKET}/")
    made = objects(
        f"{CLOUD}.provider=s3",
        f"{CLOUD}.s3.bucket={BUCKET}",
        f"{CLOUD}.prefix={prefix}/",
        f"{CLOUD}.s3.region=us-east-1",
        f"{CLOUD}.s3.endpoint={moto_s3.endpoint}",
        *role,
    )
    mounted = tmp_path / "kubeshark.yaml"
    mounted.write_text(by_name(made)["ConfigMap", "kubeshark-config"]["data"]["kubeshark.yaml"])
    words = container(made, "kubeshark-worker")["args"]
    Pki(tmp_path / "pki", "localhost")
    store = store_of(tmp_path / "a", a=traffic().records)
    told = words[words.index("--upload") :]
    worker = Process(store, tmp_path / "pki" / "localhost", home=tmp_path / "nobody", options=("--node", "a", *told))
    secret = moto_s3.environment()
    del secret["AWS_REGION"], secret["AWS_ENDPOINT_URL"]
    with sts() as server, worker_with(worker, {**secret, "KUBESHARK_CONFIG": str(mounted)}, server):
        ends = time.monotonic() + 60
        while not any(name.endswith(INDEX_SUFFIX) for name in moto_s3.objects(prefix)):
            assert time.monotonic() < ends, "nothing was uploaded"
            time.sleep(0.1)
        asked = [(each["RoleArn"], each["ExternalId"]) for each in server.asked]
    assert asked == ([(ROLE, "lab/7")] if role else [])
    hub = container(made, "kubeshark-hub")["args"]
    archive = build_parser("hub").parse_args(hub).archive[0]
    assert [info.node for info in open_store(archive, identities=[ID]).segments()] == ["a"]


def test_an_external_id_that_a_deployment_takes_is_one_for_who_asks() -> None:
    assert f"^{_aws_sts._EXTERNAL_ID.pattern}$" == _archive.EXTERNAL_ID
