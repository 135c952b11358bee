"""What is enforced on this machine: targets on their planes, replaced together, undone together.

1. A change is for all targets or for none: what fails leaves the policy before in force.
2. What is not confirmed in time is rolled back by `tick`, and of a policy that outlives its time the rules are taken
   out, on this machine's clock.
3. A policy is pinned (fail mode closed) only when it is confirmed: a lock-out never outlives the process.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from kubeshark.core_capture.ebpf import EbpfError, _calls
from kubeshark.firewall._errors import FirewallError
from kubeshark.firewall.kernel._attach import Hook, Mechanism, attach_connect, attach_device, device_index, pin_name
from kubeshark.firewall.kernel._devices import all_devices, outer_devices, own_addresses, pod_device, xdp_on
from kubeshark.firewall.kernel._events import Event, Ring
from kubeshark.firewall.kernel._plane import Plane
from kubeshark.firewall.kernel._tally import Tally
from kubeshark.firewall.kernel._xdp import XdpChoice, XdpHook, attach_xdp, wants_xdp
from kubeshark.firewall.names._dns_watch import Side
from kubeshark.firewall.rules._rules import Reason, RuleSet
from kubeshark.firewall.sets._wire import Target

__all__ = ["BPFFS", "Enforcer", "FailMode"]

FailMode = Literal["open", "closed"]
BPFFS = Path(os.environ.get("KUBESHARK_BPFFS") or "/sys/fs/bpf")
"""Where links are pinned that outlive the process."""


@dataclass(slots=True)
class _Held:
    """A target in force."""

    target: Target
    plane: Plane
    ring: Ring
    hooks: dict[str, Hook] = field(default_factory=dict)  # by device; "" for connect()
    rules_by_generation: dict[int, RuleSet] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)  # devices of pods, by their names
    tally: Tally = field(default_factory=Tally)

    def apply(self, rules: RuleSet, *, goes_on: bool) -> None:
        """Put rules in force; `goes_on`: the same ones for other addresses, whose counters go on."""
        self.plane.apply(rules)
        if goes_on:
            self.tally = self.tally.plus(self.target.rules, self.plane.counters(before=True))
        else:
            self.tally = Tally()

    def close(self) -> None:
        for hook in self.hooks.values():
            hook.detach()
        self.ring.close()
        self.plane.close()


class Enforcer:
    """Owns planes and hooks. Not for threads."""

    def __init__(
        self,
        *,
        fail_mode: FailMode = "open",
        pins: Path = BPFFS / "kubeshark-firewall",
        force: Mechanism | None = None,
        xdp: XdpChoice = "off",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.fail_mode = fail_mode
        self.generation = 0
        self._pins, self._clock = pins, clock
        self._force: Mechanism | None = force
        self._xdp: XdpChoice = xdp
        self._xdp_hooks: dict[int, XdpHook] = {}  # by device's number: it has one, whatever targets share it
        self._held: dict[str, _Held] = {}
        self._previous: tuple[Target, ...] | None = None
        self._confirm_by: float | None = None
        self._expires: dict[str, float] = {}  # policies whose time ends, by name
        self._expired: set[str] = set()

    # ---- changes ----

    @property
    def targets(self) -> tuple[Target, ...]:
        return tuple(held.target for held in self._held.values())

    @property
    def previous(self) -> tuple[Target, ...] | None:
        return self._previous

    @property
    def seconds_left(self) -> float | None:
        """How long there is to confirm; None if nothing is to be confirmed."""
        return None if self._confirm_by is None else max(0.0, self._confirm_by - self._clock())

    def ttl_left(self, policy: str) -> float | None:
        """How long a policy stays, 0.0 once its time is over; None: for good."""
        if policy in self._expired:
            return 0.0
        return None if policy not in self._expires else max(0.0, self._expires[policy] - self._clock())

    def apply(
        self,
        targets: Sequence[Target],
        *,
        confirm_within_s: float = 0,
        ttl_s: Mapping[str, float] | None = None,
        keeps: bool = False,
    ) -> int:
        """Enforce these targets and no others; return the generation.

        `ttl_s`: of policies by name. `keeps`: the same policies for other addresses: what is waited for stays.
        """
        before = self.targets
        self._install(tuple(targets), goes_on=keeps)
        now = self._clock()
        self._expired = set()
        self._expires = {name: now + seconds for name, seconds in (ttl_s or {}).items() if seconds > 0}
        if not keeps:
            if self._confirm_by is None:  # what was never confirmed is nothing to go back to
                self._previous = before
            if confirm_within_s > 0:  # else a countdown that runs goes on: another change confirms nothing
                self._confirm_by = now + confirm_within_s
        self._settle()
        return self.generation

    def follow(self, targets: Sequence[Target]) -> None:
        """Enforce the same rules for other addresses of their names: what is waited for, and what was before, stay."""
        self._install(self._in_time(targets), goes_on=True)
        self._settle()

    def confirm(self) -> None:
        if self._confirm_by is None:
            raise FirewallError("firewall: nothing is waiting to be confirmed", hint='see "kubeshark firewall status"')
        self._confirm_by = None
        self._settle()

    def roll_back(self) -> int:
        """Go back to what was enforced before the last change; once."""
        if self._previous is None:
            raise FirewallError("firewall: there is nothing to go back to", hint='see "kubeshark firewall status"')
        previous, self._previous = self._previous, None
        self._confirm_by = None
        self._install(self._in_time(previous))
        self._settle()
        return self.generation

    def _in_time(self, targets: Sequence[Target]) -> tuple[Target, ...]:
        """Return targets without the rules of policies whose time is over, and without those left with none."""
        left = (
            replace(
                target,
                rules=replace(
                    target.rules, rules=tuple(each for each in target.rules.rules if each.policy not in self._expired)
                ),
            )
            for target in targets
        )
        return tuple(target for target in left if target.rules.rules)

    def _install(self, targets: tuple[Target, ...], *, goes_on: bool = False) -> None:
        if len({target.name for target in targets}) != len(targets):
            raise FirewallError("firewall: two targets of one name")
        changed: list[tuple[_Held, Tally]] = []
        made: list[_Held] = []
        try:
            for target in targets:
                held = self._held.get(target.name)
                if held is None:
                    made.append(self._hold(target))
                elif held.target.rules != target.rules:
                    tally = held.tally
                    held.apply(target.rules, goes_on=goes_on)
                    changed.append((held, tally))
        except BaseException:
            for held, tally in changed:
                held.plane.roll_back()
                held.tally = tally
            for held in made:
                held.close()
            raise
        self.generation += 1
        for name in self._held.keys() - {target.name for target in targets}:
            self._held.pop(name).close()
        for held in made:
            self._held[held.target.name] = held
        for target in targets:
            held = self._held[target.name]
            held.target = target
            held.rules_by_generation[held.plane.generation] = target.rules
            while len(held.rules_by_generation) > 8:  # events that are still on their way name an older one
                del held.rules_by_generation[min(held.rules_by_generation)]
            self._attach(held)

    def _hold(self, target: Target) -> _Held:
        plane, held = Plane.create(), None
        try:
            held = _Held(target, plane, Ring(plane.maps["events"]))
            if target.is_host:
                plane.set_local(own_addresses())
            plane.apply(target.rules)
            for device in _devices(held):
                if device_index(device) is not None:
                    held.hooks[device] = self._hook(plane, target, device)
                    self._set_xdp(held, held.hooks[device])
        except BaseException:
            for hook in held.hooks.values() if held is not None else ():
                hook.detach()
            plane.close()
            raise
        return held

    def _hook(self, plane: Plane, target: Target, device: str) -> Hook:
        return attach_device(plane, device, is_veth_of_pod=target.is_pod, force=self._force)

    def _set_xdp(self, held: _Held, hook: Hook) -> bool:
        """Attach a device by XDP too, or no more; tell whether that changed. FirewallError: it is another's."""
        target = held.target
        before, known = hook.xdp, self._xdp_hooks.get(hook.index)
        is_others = known is not None and known.link >= 0 and known is not before
        cannot = target.is_pod or target.pods or hook.kind == "cgroup" or is_others
        wanted = not cannot and wants_xdp(self._xdp, hook.device, hook.index)
        if wanted and before is None:
            hook.xdp = attach_xdp(held.plane, hook.device, hook.index, self._xdp)
            if hook.xdp is not None:
                self._xdp_hooks[hook.index] = hook.xdp
        elif not wanted and before is not None:
            before.detach()
            hook.xdp = None
        return hook.xdp is not before

    def _attach(self, held: _Held) -> bool:
        """Attach devices that came, or came again under their name; tell whether anything changed."""
        before = dict(held.hooks)
        held.problems.clear()
        devices = _devices(held)
        for device in set(held.hooks) - {*devices, ""}:
            held.hooks.pop(device).detach()
        for device in devices:
            index, hook = device_index(device), held.hooks.get(device)
            if hook is not None and hook.index != index:
                held.hooks.pop(device).detach()
                hook = None
            if index is None:
                held.problems[device] = "there is no such device"
            elif hook is None:
                try:
                    held.hooks[device] = self._hook(held.plane, held.target, device)
                except EbpfError as error:
                    held.problems[device] = str(error)
        has_changed = False
        for device, hook in held.hooks.items():
            try:
                has_changed |= self._set_xdp(held, hook)
            except (EbpfError, OSError) as error:  # OSError: the device has just gone
                held.problems[f"{device} by XDP"] = str(error)
        if held.target.is_host and "" not in held.hooks:
            try:
                held.hooks[""] = attach_connect(held.plane)
            except EbpfError as error:
                held.problems["connect()"] = str(error)
        return has_changed or before != held.hooks

    # ---- time, devices ----

    def tick(self) -> str:
        """Do what is due; return what was undone, in words, or nothing."""
        came = [held for held in self._held.values() if self._attach(held)]
        if came:
            self._settle()
        now = self._clock()
        if self._confirm_by is not None and now >= self._confirm_by:
            self.roll_back()
            return "not confirmed in time: the policy before is enforced again"
        if over := sorted(name for name, at in self._expires.items() if now >= at):
            for name in over:
                del self._expires[name]
            self._expired |= set(over)
            self._install(self._in_time(self.targets), goes_on=True)
            self._settle()
            return f"{', '.join(over)}: its time is over, it is enforced no more"
        return ""

    # ---- pins ----

    def _settle(self) -> None:
        """Fail mode closed: keep in bpffs what is confirmed, and nothing else."""
        if self.fail_mode == "open":
            return
        for path in self._pins.glob("*"):
            shutil.rmtree(path)
        if self._confirm_by is None:
            for held in self._held.values():
                folder = self._pins / _folder(held.target.name)
                try:
                    folder.mkdir(parents=True, mode=0o700)
                except OSError as error:
                    raise FirewallError(
                        f"firewall: {folder}: {error.strerror}", hint="mount -t bpf bpf /sys/fs/bpf"
                    ) from error
                held.plane.pin(folder)
                for hook in held.hooks.values():
                    hook.pin(folder)

    def take_over(self, targets: Sequence[Target]) -> int:
        """Go on with what an earlier process pinned, without a gap; return how many of the targets were found."""
        for target in targets:
            folder = self._pins / _folder(target.name)
            try:
                plane = Plane.pinned(folder, target.rules)
            except EbpfError:
                continue
            held = _Held(target, plane, Ring(plane.maps["events"]))
            held.rules_by_generation[plane.generation] = target.rules
            for device in (*_devices(held), ""):
                links = []
                for number in (0, 1):
                    with contextlib.suppress(OSError):
                        links.append(_calls.open_pin(folder / pin_name(device, number)))
                if links:
                    kind: Literal["tcx", "cgroup"] = "tcx" if device else "cgroup"
                    hook = Hook(kind, device, device_index(device) or 0 if device else 0, links)
                    held.hooks[device] = hook
                    with contextlib.suppress(OSError):
                        there = xdp_on(hook.index)
                        link = _calls.open_pin(folder / pin_name(device, "xdp"))
                        hook.xdp = XdpHook("native" if there is None else there[0], link)
                        self._xdp_hooks[hook.index] = hook.xdp
            self._held[target.name] = held
        self.generation += 1
        return len(self._held)

    # ---- reading ----

    def sides(self) -> dict[str, Side]:
        """Return whose packets devices carry, by device."""
        return {
            device: Side(held.target.name, held.target.is_pod)
            for held in self._held.values()
            for device in held.hooks
            if device
        }

    def event_sources(self) -> Iterator[int]:
        """Yield descriptors that become readable when there are events."""
        for held in self._held.values():
            yield held.plane.maps["events"]

    def events(self) -> Iterator[tuple[Event, dict[str, object]]]:
        """Yield the events that are there."""
        for held in self._held.values():
            for event in held.ring.read():
                subject = held.target.name
                if held.places:
                    on = next((device for device, hook in held.hooks.items() if hook.index == event.interface), "")
                    subject = next((pod for pod, device in held.places.items() if device == on), subject)
                yield event, event.document(subject, held.rules_by_generation.get(event.generation))

    def status(self) -> dict[str, Any]:
        return {
            "generation": self.generation,
            "failMode": self.fail_mode,
            "xdp": self._xdp,
            "confirmWithin": self.seconds_left,
            "targets": [_status(held) for held in self._held.values()],
        }

    def close(self) -> None:
        """Stop: links go with this process, clsact filters are removed. What is pinned goes on (fail mode closed)."""
        for held in self._held.values():
            held.close()
        self._held.clear()

    def remove(self) -> None:
        """Enforce nothing any more, pins and all."""
        self._previous, self._confirm_by, self._expires = self.targets, None, {}
        self.close()
        shutil.rmtree(self._pins, ignore_errors=True)
        self.generation += 1


def _folder(name: str) -> str:
    """A name for bpffs: letters, digits; it takes no dot."""
    return "".join(letter if letter.isalnum() or letter in "-_" else f"%{ord(letter):x}" for letter in name)[:200]


def _devices(held: _Held) -> list[str]:
    """Return the devices that carry a target's packets now; what has none is a problem of it."""
    target = held.target
    found: dict[str, None] = {}
    there = all_devices() if any(glob in name for name in target.devices for glob in "*?") else []
    for name in target.devices:
        found |= dict.fromkeys([each for each in there if fnmatchcase(each, name)] or [name])
    if target.is_host and not target.devices:
        found |= dict.fromkeys(outer_devices())
        if not found:
            held.problems["host"] = "no device has a default route"
    places: dict[str, str] = {}
    for pod in target.pods:
        device = next(filter(None, map(pod_device, pod.addresses)), None)
        if device is None:  # a bridge forgets who was silent: where it was it still is, as long as the device lives
            device = held.places.get(pod.name) if held.places.get(pod.name) in held.hooks else None
        if device is None or device_index(device) is None:
            held.problems[pod.name] = "no device leads to it"
        else:
            places[pod.name] = device
    held.places = places
    return list(found | dict.fromkeys(places.values()))


def _status(held: _Held) -> dict[str, Any]:
    counters = held.tally.total(held.target.rules, held.plane.counters())
    rules = [
        {
            "policy": rule.policy,
            "rule": rule.name,
            "direction": rule.direction.name.lower(),
            "action": rule.action.name.lower(),
            "packets": count.packets,
            "bytes": count.bytes,
        }
        for rule, count in zip(held.target.rules.rules, counters.rules, strict=True)
    ]
    return {
        "name": held.target.name,
        "generation": held.plane.generation,
        "pods": dict(held.places),
        "hooks": {device or "connect()": hook.title for device, hook in held.hooks.items()},
        "notEnforced": dict(held.problems),
        "exempt": [exempt.name for exempt in held.target.rules.exempt],
        "rules": rules,
        "other": {reason.name.lower(): counters.reasons[reason].packets for reason in Reason if reason != Reason.RULE},
        "refusedConnects": counters.refused_connects,
        "events": counters.reported,
        "lost": counters.lost,
        "answered": counters.answered,
        "silent": counters.silent,
    }
