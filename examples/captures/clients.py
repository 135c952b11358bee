"""Runs the talks, one after the other, inside the clients' namespace; tells the time when each begins."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from talks import beanstalkd, dns, http, icmp, memcached, mqtt, nats, postgresql, redis, stomp, tftp

TALKS: dict[str, Callable[[], None]] = {
    "DNS": dns.talk,
    "ICMP": icmp.talk,
    "HTTP": http.talk,
    "Redis": redis.talk,
    "memcached": memcached.talk,
    "NATS": nats.talk,
    "beanstalkd": beanstalkd.talk,
    "STOMP": stomp.talk,
    "MQTT": mqtt.talk,
    "PostgreSQL": postgresql.talk,
    "TFTP": tftp.talk,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or TALKS:
        print(time.time_ns(), name, flush=True)
        TALKS[name]()
