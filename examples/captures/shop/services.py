"""The shop's own services, `python -m shop.services NAME`: pages, catalogue, cart, orders, payments, advice."""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

import pika
import psycopg2.pool
import redis
import requests
from pymemcache.client.base import PooledClient

from shop.cluster import PAYMENTS
from shop.goods import CATEGORIES, PRODUCTS
from shop.service import Answer, Request, Route, connections, serve, traced

DATABASE = "host=db dbname=postgres user=shop password=made-up application_name="
CATALOG, CART, ADVICE = "http://catalog:8080/v1", "http://cart:8081/v1", "http://recommendations:8082/v1"
PER_PAGE = 20
CACHED_S = 5
CURRENCY = "EUR"


class Catalog:
    """Products and reviews: PostgreSQL, with memcached before it."""

    port = 8080

    def __init__(self) -> None:
        self.pages = PooledClient(("cache", 11211), max_pool_size=4, no_delay=True)
        self.database = Database("catalog")
        self.routes: list[Route] = [
            ("GET", "/v1/products", self.products),
            ("GET", r"/v1/products/(\d+)", self.product),
            ("GET", r"/v1/products/(\d+)/reviews", self.reviews),
        ]

    def products(self, request: Request) -> Answer:
        page, category, words = (request.query.get(name, "") for name in ("page", "category", "q"))
        key = f"products:{category}:{page}:{words}".replace(" ", "+")
        found = self.pages.get(key)
        if found is None:
            start = PER_PAGE * (int(page or 1) - 1)
            sql = (
                "SELECT id, name, category, description, price, stock FROM products "
                "WHERE category LIKE %s AND description ILIKE %s ORDER BY stock DESC LIMIT %s OFFSET %s"
            )
            rows = self.database.read(sql, (category or "%", f"%{words}%", PER_PAGE, start))
            found = json.dumps([_product(row) for row in rows]).encode()
            self.pages.set(key, found, expire=CACHED_S)
        return 200, {"products": json.loads(found), "page": int(page or 1)}

    def product(self, request: Request) -> Answer:
        number = int(request.match[1])
        sql = "SELECT id, name, category, description, price, stock FROM products WHERE id = %s"
        rows = self.database.read(sql, (number,))
        return (200, _product(rows[0])) if rows else (404, {"error": f"no product {number}"})

    def reviews(self, request: Request) -> Answer:
        number = int(request.match[1])
        column = "written" if number % 15 else "writen"  # a fault somebody will have to find
        sql = f"SELECT id, stars, text, {column} FROM reviews WHERE product = %s ORDER BY id DESC"
        rows = self.database.read(sql, (number,))
        return 200, [{"id": row[0], "stars": row[1], "text": row[2], "written": row[3]} for row in rows]


class Cart:
    """What visitors mean to buy: Redis. Opens a connection for each question to the catalogue."""

    port = 8081

    def __init__(self) -> None:
        self.redis = redis.Redis("cache", decode_responses=True)
        self.routes: list[Route] = [
            ("GET", r"/v1/carts/(\w+)", self.show),
            ("POST", r"/v1/carts/(\w+)/items", self.add),
            ("DELETE", r"/v1/carts/(\w+)", self.empty),
        ]

    def show(self, request: Request) -> Answer:
        items = self.redis.hgetall(f"cart:{request.match[1]}")
        return 200, {"visitor": request.match[1], "items": {int(item): int(count) for item, count in items.items()}}

    def add(self, request: Request) -> Answer:
        item, count = request.document["product"], request.document["count"]
        known = requests.get(f"{CATALOG}/products/{item}", headers=traced(request), timeout=5)
        if known.status_code != 200:
            return 422, {"error": f"no product {item}"}
        key = f"cart:{request.match[1]}"
        pipeline = self.redis.pipeline()
        pipeline.hincrby(key, item, count)
        pipeline.expire(key, 3600)
        pipeline.execute()
        return 201, {"product": item, "count": count, "price": known.json()["price"]}

    def empty(self, request: Request) -> Answer:
        self.redis.delete(f"cart:{request.match[1]}")
        return 204, None


class Orders:
    """Orders: the cart's contents, paid, written to PostgreSQL, announced through RabbitMQ."""

    port = 9000

    def __init__(self) -> None:
        self.database = Database("orders")
        self.others = connections()
        self.broker = pika.BlockingConnection(pika.ConnectionParameters("broker", heartbeat=10))
        self.channel = self.broker.channel()
        self.channel.exchange_declare("orders", "topic")
        self.turn = threading.Lock()  # pika is for one thread at a time
        threading.Thread(target=self.keep_beating, daemon=True).start()
        self.routes: list[Route] = [("POST", "/v1/orders", self.place), ("GET", r"/v1/orders/(\d+)", self.show)]

    def keep_beating(self) -> None:
        while True:
            time.sleep(1)
            with self.turn:
                self.broker.process_data_events()

    def place(self, request: Request) -> Answer:
        headers, visitor = traced(request), request.visitor
        items = self.others.get(f"{CART}/carts/{visitor}", headers=headers, timeout=5).json()["items"]
        if not items:
            return 409, {"error": "the cart is empty"}
        if self.is_suspicious(items, headers):
            return 403, {"error": "please call us"}
        prices = {
            item: float(self.others.get(f"{CATALOG}/products/{item}", headers=headers, timeout=5).json()["price"])
            for item in items
        }
        total = round(sum(prices[item] * count for item, count in items.items()), 2)
        charge = {"amount": total, "currency": CURRENCY, "card": "4000-0000-0000-0000", "reference": visitor}
        paid = requests.post(f"http://{PAYMENTS}:7070/v2/charges", json=charge, headers=headers, timeout=5)
        if paid.status_code != 201:
            return 402, {"error": "not paid", "reason": paid.json()}
        number = self.write(visitor, total, items, prices)
        event = {"event": "order.placed", "id": number, "visitor": visitor, "total": total, "items": items}
        with self.turn:
            kind = pika.BasicProperties(content_type="application/json", headers=request.headers)
            self.channel.basic_publish("orders", "order.placed", json.dumps(event).encode(), kind)
        self.others.delete(f"{CART}/carts/{visitor}", headers=headers, timeout=5)
        return 201, {"id": number, "total": total, "status": "paid"}

    def is_suspicious(self, items: dict[str, int], headers: dict[str, str]) -> bool:
        """Ask a service that is not running, about large orders only."""
        if sum(items.values()) < 3:
            return False
        try:
            return not requests.post("http://worker:7100/v1/check", json=items, headers=headers, timeout=5).ok
        except requests.ConnectionError:
            return False

    def write(self, visitor: str, total: float, items: dict[str, int], prices: dict[str, float]) -> int:
        with self.database.cursor() as cursor:
            cursor.execute(
                "INSERT INTO orders (visitor, total, status) VALUES (%s, %s, 'paid') RETURNING id", (visitor, total)
            )
            number: int = cursor.fetchone()[0]
            for item, count in items.items():
                line = (number, item, count, prices[item])
                cursor.execute("INSERT INTO order_lines VALUES (%s, %s, %s, %s)", line)
                cursor.execute("UPDATE products SET stock = greatest(stock - %s, 0) WHERE id = %s", (count, item))
        return number

    def show(self, request: Request) -> Answer:
        number = int(request.match[1])
        rows = self.database.read("SELECT id, visitor, total, status, placed FROM orders WHERE id = %s", (number,))
        if not rows:
            return 404, {"error": f"no order {number}"}
        sql = (
            "SELECT product, name, count, order_lines.price FROM order_lines JOIN products ON products.id = product "
            "WHERE order_id = %s"
        )
        lines = self.database.read(sql, (number,))
        names = ("id", "visitor", "total", "status", "placed")
        return 200, dict(zip(names, rows[0], strict=True)) | {"lines": lines}


class Payments:
    """The payment company: slow, and it says no at times."""

    port = 7070

    def __init__(self) -> None:
        self.chance = random.Random("payments")
        self.routes: list[Route] = [("POST", "/v2/charges", self.charge)]

    def charge(self, request: Request) -> Answer:
        time.sleep(self.chance.uniform(0.05, 0.2))
        if self.chance.random() < 0.1:
            return 402, {"error": {"code": "card_declined", "message": "The card was declined."}}
        charge = f"ch_{self.chance.getrandbits(64):016x}"
        return 201, {"id": charge, "status": "succeeded", "created": int(time.time()), **request.document}


class Advice:
    """Others also bought: from memcached, worked out from the catalogue where it is not there."""

    port = 8082

    def __init__(self) -> None:
        self.cache = PooledClient(("cache", 11211), max_pool_size=4, no_delay=True)
        self.chance = random.Random("advice")
        self.others = connections()
        self.routes: list[Route] = [("GET", r"/v1/for/(\w+)", self.for_visitor)]

    def for_visitor(self, request: Request) -> Answer:
        kept = self.cache.get_many([f"seen:{request.match[1]}", f"advice:{request.match[1]}"])
        advice = kept.get(f"advice:{request.match[1]}")
        if advice is None:
            category = self.chance.choice(CATEGORIES)
            parameters = {"category": category, "page": 1}
            page = self.others.get(f"{CATALOG}/products", params=parameters, headers=traced(request), timeout=5)
            chosen = self.chance.sample(page.json()["products"], 4)
            advice = json.dumps([{"score": round(self.chance.random(), 6), **product} for product in chosen]).encode()
            self.cache.set(f"advice:{request.match[1]}", advice, expire=60)
        return 200, {"visitor": request.match[1], "model": "2024-05-01", "products": json.loads(advice)}


class Web:
    """The pages, put together from what the other services say. Sessions are in Redis."""

    port = 8000

    def __init__(self) -> None:
        self.redis = redis.Redis("cache", decode_responses=True)
        self.others = connections()
        self.routes: list[Route] = [
            ("GET", "/", self.list_products),
            ("GET", r"/category/(?P<category>\w+)", self.list_products),
            ("GET", "/search", self.list_products),
            ("GET", r"/product/(?P<number>\d+)", self.product),
            ("GET", "/cart", self.cart),
        ]

    def get(self, url: str, request: Request, **query: str) -> Any:
        answer = self.others.get(url, params=query, headers=traced(request), timeout=5)
        return answer.json() if answer.ok else None

    def list_products(self, request: Request) -> Answer:
        query = {name: request.query[name] for name in ("q", "page") if name in request.query}
        query |= {name: value for name, value in request.match.groupdict().items() if value}
        found = self.get(f"{CATALOG}/products", request, **query)["products"]
        return self.page(request, "Tea and more", "".join(map(_card, found)) or "<p>Nothing found</p>")

    def product(self, request: Request) -> Answer:
        number = request.match["number"]
        product = self.get(f"{CATALOG}/products/{number}", request)
        if product is None:
            return 404, self.page(request, "Not found", "<p>We do not sell that</p>")[1]
        reviews = self.get(f"{CATALOG}/products/{number}/reviews", request) or []
        written = "".join(f"<li>{'★' * review['stars']} {escape(review['text'])}</li>" for review in reviews)
        picture = f'<img class="large" src="/media/{number}.jpg" alt="">'
        return self.page(request, product["name"], picture + _card(product) + f"<ul>{written}</ul>")

    def cart(self, request: Request) -> Answer:
        items = self.get(f"{CART}/carts/{request.visitor}", request)["items"]
        products = [self.get(f"{CATALOG}/products/{item}", request) for item in items]
        return self.page(request, "Your cart", "".join(_card(product) for product in products if product))

    def page(self, request: Request, title: str, content: str) -> Answer:
        key = f"session:{request.visitor}"
        session = json.loads(self.redis.get(key) or '{"seen": []}')
        session["seen"] = [title, *session["seen"]][:10]
        self.redis.set(key, json.dumps(session), ex=1800)
        cart = self.get(f"{CART}/carts/{request.visitor}", request)
        advice = self.get(f"{ADVICE}/for/{request.visitor}", request) or {"products": []}
        menu = "".join(f'<li><a href="/category/{name}">{name.title()}</a></li>' for name in CATEGORIES)
        return 200, (
            f"<!doctype html><html lang=en><head><meta charset=utf-8><title>{escape(title)} - the shop</title>"
            '<link rel="stylesheet" href="/static/app.css"><script type="module" src="/static/app.js"></script></head>'
            f"<body><nav><ul>{menu}</ul><a class=cart href=/cart>{len(cart['items'])} things</a></nav>"
            f"<main><h1>{escape(title)}</h1>{content}</main>"
            f"<aside><h2>Others also liked</h2>{''.join(map(_card, advice['products']))}</aside></body></html>"
        ).encode()


class Database:
    """A few kept connections to PostgreSQL."""

    def __init__(self, application: str) -> None:
        self.pool = psycopg2.pool.ThreadedConnectionPool(2, 20, DATABASE + application)

    @contextmanager
    def cursor(self) -> Iterator[Any]:
        """Yield a cursor inside a transaction."""
        connection = self.pool.getconn()
        try:
            with connection, connection.cursor() as cursor:
                yield cursor
        finally:
            self.pool.putconn(connection)

    def read(self, sql: str, parameters: tuple[object, ...]) -> list[tuple[Any, ...]]:
        with self.cursor() as cursor:
            cursor.execute(sql, parameters)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows


def _product(row: tuple[Any, ...]) -> dict[str, Any]:
    number, name, category, description, price, stock = row
    return {
        "id": number,
        "name": name,
        "category": category,
        "description": description,
        "price": float(price),
        "currency": CURRENCY,
        "stock": stock,
        "links": {"self": f"/v1/products/{number}", "reviews": f"/v1/products/{number}/reviews"},
        "images": {"small": f"/media/{number}-small.jpg", "large": f"/media/{number}.jpg"},
        "related": [number % PRODUCTS + 1, (number * 7) % PRODUCTS + 1],
    }


def _card(product: dict[str, Any]) -> str:
    link = f"/product/{product['id']}"
    return (
        f'<article class="card" data-id="{product["id"]}"><a href="{link}"><img loading="lazy" width="160" '
        f'src="{product["images"]["small"]}" alt=""></a><h3><a href="{link}">{escape(product["name"])}</a></h3>'
        f'<p>{escape(product["description"])}</p><span class="price">{product["price"]:.2f} {CURRENCY}</span>'
        f'<button data-action="add" data-product="{product["id"]}">Add</button></article>\n'
    )


SERVICES = {
    "web": Web,
    "catalog": Catalog,
    "cart": Cart,
    "orders": Orders,
    "payments": Payments,
    "recommendations": Advice,
}

if __name__ == "__main__":
    service = SERVICES[sys.argv[1]]()
    serve(sys.argv[1], service.port, service.routes)
