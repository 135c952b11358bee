"""How many packets an interface had before a filter in the kernel, by a second socket that is never read.

The kernel says how many packets passed a filter, and nothing of the others. A packet socket whose buffer is full counts
what it has no room for, before anything is copied (`packet_rcv` in net/packet/af_packet.c). So one without a filter
counts all, at the place where the other is, in the same units (GRO and GSO alike), and by CAP_NET_RAW. Counters of the
interface would not do: they count frames before these are put together, and after they are taken apart.
"""

from __future__ import annotations

import socket
from contextlib import suppress

from kubeshark.core_capture.live._interfaces import NetworkInterface
from kubeshark.core_capture.live._options import LiveOptions, PacketChoice
from kubeshark.core_capture.live._socket import bind, open_unfiltered, quiesce, take_statistics

__all__ = ["SeenCounter", "leaves_out"]


def leaves_out(options: LiveOptions) -> bool:
    """Say whether there is something to count: a filter or a choice. Members of a fanout group see a share each."""
    return options.fanout is None and bool(options.filter.strip() or options.choice != PacketChoice())


class SeenCounter:
    """Counts from `bind` until `stop`, in the directions that are captured."""

    def __init__(self, interface: NetworkInterface, options: LiveOptions) -> None:
        """Raises CaptureError without CAP_NET_RAW."""
        self._socket = open_unfiltered(interface, options)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)  # the least there is: a packet or two
        self._count = 0

    def bind(self, interface: NetworkInterface) -> None:
        """Begin, or go on with an interface that was made anew."""
        bind(self._socket, interface)

    def count(self) -> int:
        """Return how many there were; after `close`, until then."""
        with suppress(OSError):  # closed
            self._count += take_statistics(self._socket)[0]
        return self._count

    def stop(self) -> None:
        with suppress(OSError):
            quiesce(self._socket)

    def close(self) -> None:
        self.count()
        self._socket.close()
