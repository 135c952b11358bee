"""Whose TLS is read, as keys of the kernel's map."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from kubeshark.core_capture.ebpf._processes import TlsProcess
from kubeshark.core_capture.ebpf._tls_choice import (
    MAX_CHOSEN,
    has_pods,
    is_of_pods,
    keys_of,
    keys_of_pods,
    pod_name,
    uids_of,
)
from kubeshark.errors import UsageError

PROCESSES = [TlsProcess(7, "nginx", "/", None), TlsProcess(9, "nginx", "/", None), TlsProcess(8, "curl", "/", None)]
CONTAINER = "ab" * 32
POD = "1f2e3d4c-0000-4000-8000-123456789abc"


def numbers(choices: list[str], cgroups: Path) -> set[int]:
    return {struct.unpack("<Q", key)[0] for key in keys_of(choices, PROCESSES, cgroups)}


@pytest.fixture
def cgroups(tmp_path: Path) -> Path:
    for name in (f"kubepods/pod{POD.replace('-', '_')}.slice/cri-{CONTAINER}.scope/inner", "system.slice"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def test_all_is_one_key(cgroups: Path) -> None:
    assert numbers(["all"], cgroups) == {0}


def test_processes(cgroups: Path) -> None:
    assert numbers(["name:nginx", f"pid:{os.getpid()}"], cgroups) == {7, 9, os.getpid()}


def test_a_container_is_its_groups(cgroups: Path) -> None:
    scope = cgroups / f"kubepods/pod{POD.replace('-', '_')}.slice/cri-{CONTAINER}.scope"
    expected = {1 << 63 | each.stat().st_ino for each in (scope, scope / "inner")}
    assert numbers([f"container:{CONTAINER[:12]}"], cgroups) == expected


def test_a_pod_is_its_slice_and_what_is_below(cgroups: Path) -> None:
    assert len(numbers([f"pod:{POD}"], cgroups)) == 3
    assert numbers([f"pod:{POD}", f"pod:{POD.replace('-', '_')}"], cgroups) == numbers([f"pod:{POD}"], cgroups)


def test_a_pod_by_its_name_is_found_in_its_logs(cgroups: Path, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    for name in (
        f"shop_cart-0_{POD}",
        "shop_cart-00_11111111-0000-4000-8000-123456789abc",
        "web_cart-0_x",
        "shop_cart-0_",
    ):
        (logs / name).mkdir(parents=True)
    assert uids_of("shop", "cart-0", logs) == [POD]
    keys = keys_of(["pod:shop/cart-0"], PROCESSES, cgroups, logs)
    assert {struct.unpack("<Q", key)[0] for key in keys} == numbers([f"pod:{POD}"], cgroups)
    assert uids_of("shop", "cart-0", tmp_path / "none") == []
    with pytest.raises(UsageError, match=r"there is no pod shop/cart-1.*pod:UID needs neither"):
        keys_of(["pod:shop/cart-1"], PROCESSES, cgroups, logs)
    assert keys_of(["pod:shop/cart-1"], PROCESSES, cgroups, logs, must_exist=False) == []


@pytest.mark.parametrize(
    ("path", "uid"),
    [
        (f"kubepods/burstable/pod{POD}/{CONTAINER}", POD),
        (f"kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{POD.replace('-', '_')}.slice/x.scope", POD),
        (f"kubelet/kubepods/besteffort/pod{POD}", POD),
        ("kubepods/podabcdef00/x", "abcdef00"),
    ],
)
def test_groups_of_pods_that_a_hub_names(tmp_path: Path, path: str, uid: str) -> None:
    """Every way a kubelet names them; those of other pods, and of the node, are not among them."""
    for each in (path, f"kubepods/pod{POD[:-1]}0", f"kubepods/pod{POD}1", f"system.slice/{POD}", "kubepods/pods"):
        (tmp_path / each).mkdir(parents=True, exist_ok=True)
    own = [folder for folder in (tmp_path / path, *(tmp_path / path).parents) if folder.name.endswith((uid, ".slice"))]
    found = {struct.unpack("<Q", key)[0] & ~(1 << 63) for key in keys_of_pods({uid}, tmp_path)}
    groups = {(tmp_path / path).stat().st_ino, next(each for each in own if is_of_pods(each.name, {uid})).stat().st_ino}
    assert found == groups
    assert is_of_pods(f"/../../{path}", {uid, "another"})
    assert not is_of_pods(f"/{path}", {f"{uid}1", "s"})
    assert keys_of_pods(set(), tmp_path) == keys_of_pods({"elsewhere"}, tmp_path) == []


def test_more_groups_than_the_kernels_map_takes_are_refused(tmp_path: Path) -> None:
    for number in range(MAX_CHOSEN):
        (tmp_path / f"pod{POD}" / str(number)).mkdir(parents=True)
    with pytest.raises(UsageError, match=r"4,097 control groups of selected pods are more than 4,096"):
        keys_of_pods({POD}, tmp_path)


def test_whose_tree_it_is(cgroups: Path, tmp_path: Path) -> None:
    assert has_pods(cgroups)
    (tmp_path / "own" / "system.slice").mkdir(parents=True)
    assert not has_pods(tmp_path / "own")


@pytest.mark.parametrize(
    ("choice", "named"),
    [
        ("pod:shop/cart-0", ("shop", "cart-0")),
        (f"pod:{POD}", None),
        ("container:shop/cart-0", None),
        ("pod:shop/../x", None),
        ("pod:a_b/c", None),
        ("pod:a/b/c", None),
    ],
)
def test_names_of_pods(choice: str, named: tuple[str, str] | None) -> None:
    assert pod_name(choice) == named


@pytest.mark.parametrize(
    "choice", ["", "nginx", "pid:", "pid:x", "pid:-1", "pod:abc", "container:../../x", "name:", "uid:0"]
)
def test_what_chooses_nobody(cgroups: Path, choice: str) -> None:
    with pytest.raises(UsageError, match="chooses no processes"):
        keys_of([choice], PROCESSES, cgroups)


@pytest.mark.parametrize("choice", ["name:none", "pid:4194304", "container:00000000"])
def test_who_is_not_there(cgroups: Path, choice: str) -> None:
    with pytest.raises(UsageError, match="there is no"):
        keys_of([choice], PROCESSES, cgroups)
