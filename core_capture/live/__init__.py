"""Live sources: interfaces, and captures that arrive over a pipe or the network while they are made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubeshark._lazy import lazily

if TYPE_CHECKING:
    from kubeshark.core_capture.live._growing import FileState as FileState
    from kubeshark.core_capture.live._growing import GrowingFile as GrowingFile
    from kubeshark.core_capture.live._interfaces import ANY as ANY
    from kubeshark.core_capture.live._interfaces import NetworkInterface as NetworkInterface
    from kubeshark.core_capture.live._interfaces import list_interfaces as list_interfaces
    from kubeshark.core_capture.live._joined_source import JoinedSource as JoinedSource
    from kubeshark.core_capture.live._options import SNAPLEN as SNAPLEN
    from kubeshark.core_capture.live._options import Counters as Counters
    from kubeshark.core_capture.live._options import LiveOptions as LiveOptions
    from kubeshark.core_capture.live._options import PacketChoice as PacketChoice
    from kubeshark.core_capture.live._options import PacketSource as PacketSource
    from kubeshark.core_capture.live._packet_filter import PacketFilter as PacketFilter
    from kubeshark.core_capture.live._privileges import drop_privileges as drop_privileges
    from kubeshark.core_capture.live._processors import keep_to_processors as keep_to_processors
    from kubeshark.core_capture.live._source import LiveSource as LiveSource
    from kubeshark.core_capture.live._streams import StreamSource as StreamSource
    from kubeshark.core_capture.live._streams import connect as connect
    from kubeshark.core_capture.live._streams import listen as listen
    from kubeshark.core_capture.live._streams import standard_input as standard_input

__all__ = [
    "ANY",
    "SNAPLEN",
    "Counters",
    "FileState",
    "GrowingFile",
    "JoinedSource",
    "LiveOptions",
    "LiveSource",
    "NetworkInterface",
    "PacketChoice",
    "PacketFilter",
    "PacketSource",
    "StreamSource",
    "connect",
    "drop_privileges",
    "keep_to_processors",
    "list_interfaces",
    "listen",
    "standard_input",
]

if not TYPE_CHECKING:
    __getattr__ = lazily(
        __name__,
        {
            "_growing": "FileState GrowingFile",
            "_interfaces": "ANY NetworkInterface list_interfaces",
            "_joined_source": "JoinedSource",
            "_options": "SNAPLEN Counters LiveOptions PacketChoice PacketSource",
            "_packet_filter": "PacketFilter",
            "_privileges": "drop_privileges",
            "_processors": "keep_to_processors",
            "_source": "LiveSource",
            "_streams": "StreamSource connect listen standard_input",
        },
    )
