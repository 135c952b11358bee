"""Those who are no visitors, `python -m shop.background NAME`: the worker, the monitor, the warehouse."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import paho.mqtt.client
import pika
import psycopg2
import redis
import requests

from shop.goods import PRODUCTS
from shop.pace import pause, wait
from shop.service import METRICS_PORT
from shop.services import CATALOG, DATABASE

SCRAPED = {
    **dict.fromkeys(("web", "catalog", "cart", "orders", "payments", "recommendations"), METRICS_PORT),
    "edge": 9113,
    "media": 9113,
    "broker": 15692,
}
PROBED = {
    "edge": 80,
    "web": 8000,
    "catalog": 8080,
    "cart": 8081,
    "orders": 9000,
    "payments": 7070,
    "recommendations": 8082,
    "media": 8088,
}
SCRAPE_S, PROBE_S, PING_S = 15, 10, 30


def worker() -> None:
    """Hear of orders through RabbitMQ and tell their buyers; write the warehouse's stock into the database."""
    stock = paho.mqtt.client.Client("stock-keeper")
    database = psycopg2.connect(DATABASE + "worker")
    database.autocommit = True

    def new_stock(_client: Any, _data: Any, message: Any) -> None:
        report = json.loads(message.payload)
        with database.cursor() as cursor:
            cursor.execute("UPDATE products SET stock = %s WHERE id = %s", (report["count"], report["product"]))

    stock.on_message = new_stock
    stock.on_connect = lambda client, *_: client.subscribe("warehouse/+/stock", qos=1)
    stock.connect("broker", keepalive=10)
    stock.loop_start()
    sold = redis.Redis("cache")

    def new_order(channel: Any, method: Any, _properties: Any, body: bytes) -> None:
        order = requests.get(f"http://orders:9000/v1/orders/{json.loads(body)['id']}", timeout=5).json()
        for line in order["lines"]:
            requests.get(f"{CATALOG}/products/{line[0]}", timeout=5)
            sold.zincrby("sold", line[2], line[1])
        sold.publish("news", json.dumps({"order": order["id"]}))
        channel.basic_ack(method.delivery_tag)

    channel = pika.BlockingConnection(pika.ConnectionParameters("broker", heartbeat=10)).channel()
    channel.exchange_declare("orders", "topic")
    channel.queue_declare("mails", auto_delete=True)
    channel.queue_bind("mails", "orders", "order.*")
    channel.basic_qos(prefetch_count=5)
    channel.basic_consume("mails", new_order)
    channel.start_consuming()


def monitor() -> None:
    """Read metrics, ask after everybody's health, ping two hosts."""
    tasks: list[Callable[[], None]] = [
        *(_scraping(host, port) for host, port in SCRAPED.items()),
        *(_probing(host, port) for host, port in PROBED.items()),
        *(_pinging(host) for host in ("edge", "db")),
    ]
    threads = [threading.Thread(target=task) for task in tasks]
    for thread in threads:
        thread.start()


def _scraping(host: str, port: int) -> Callable[[], None]:
    def scrape() -> None:
        session = requests.Session()
        session.headers = {
            "User-Agent": "Prometheus/2.45.0",
            "Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "Accept-Encoding": "gzip",
            "X-Prometheus-Scrape-Timeout-Seconds": "10",
        }
        _every(SCRAPE_S, host, lambda: session.get(f"http://{host}:{port}/metrics", timeout=5))

    return scrape


def _probing(host: str, port: int) -> Callable[[], None]:
    headers = {"User-Agent": "kube-probe/1.29", "Accept": "*/*", "Connection": "close"}
    url = f"http://{host}:{port}/healthz"
    return lambda: _every(PROBE_S, host, lambda: requests.get(url, headers=headers, timeout=5))


def _pinging(host: str) -> Callable[[], None]:
    command = ["ping", "-n", "-q", "-c", "3", "-i", "0.2", host]
    return lambda: _every(PING_S, host, lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))


def _every(seconds: float, host: str, act: Callable[[], object]) -> None:
    wait(random.Random(host).uniform(0, seconds))  # not all at once
    while True:
        act()
        wait(seconds)


def warehouse() -> None:
    """Report what the shelves' scales say, and the temperature."""
    chance = random.Random("warehouse")
    client = paho.mqtt.client.Client("warehouse-gateway")
    client.will_set("warehouse/status", "gone", qos=1, retain=True)
    client.connect("broker", keepalive=10)
    client.loop_start()
    client.publish("warehouse/status", "here", qos=1, retain=True)
    while True:
        shelf = chance.randint(1, 12)
        report = {"product": chance.randint(1, PRODUCTS), "count": chance.randint(0, 200)}
        client.publish(f"warehouse/shelf-{shelf}/stock", json.dumps(report), qos=1)
        client.publish(f"warehouse/shelf-{shelf}/temperature", f"{chance.gauss(18, 2):.1f}")
        pause(4, chance)


ROLES = {"worker": worker, "monitor": monitor, "warehouse": warehouse}

if __name__ == "__main__":
    ROLES[sys.argv[1]]()
