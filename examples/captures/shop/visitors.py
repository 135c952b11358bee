"""The people, `python -m shop.visitors NAME`: they look around, put things into the cart, and some of them pay."""

from __future__ import annotations

import random
import re
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import requests
import urllib3

from shop.cluster import SHOP, VISITORS
from shop.goods import CATEGORIES, PRODUCTS, WORDS
from shop.pace import pause

AT_ONCE = 2  # people behind each address
BY_TLS = ("visitor-5",)
PARALLEL = 4  # connections of one browser
LOOK_S, GONE_S = 12, 20  # how long a page is looked at; how long until the next visitor
PICTURES_SEEN = 12  # the others lie below the edge of the screen
ASSET = re.compile(r'(?:src|href)="(/(?:static|media)/[^"]+)"')
BROWSERS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:126.0) Gecko/20100101 Firefox/126.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Safari/604.1",
)


class Browser:
    """One person's browser: cookies, kept connections, a cache."""

    def __init__(self, origin: str, chance: random.Random, cache: dict[str, str]) -> None:
        self.origin, self.chance, self.cache = origin, chance, cache
        self.fresh: set[str] = set()  # what was loaded during this visit needs no question
        self.session = requests.Session()
        self.session.mount(origin, requests.adapters.HTTPAdapter(pool_maxsize=PARALLEL, max_retries=2))
        self.session.verify = False
        self.session.cookies.set("visitor", f"{chance.getrandbits(64):016x}", domain=SHOP)
        self.session.headers.update(
            {
                "User-Agent": chance.choice(BROWSERS),
                "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                "Accept-Language": "en-GB,en;q=0.7,de;q=0.3",
                "Accept-Encoding": "gzip, deflate",
            }
        )

    def open(self, path: str) -> str:
        """Load a page and what belongs to it."""
        page = self.session.get(self.origin + path, timeout=10)
        wanted = [asset for asset in dict.fromkeys(ASSET.findall(page.text)) if asset not in self.fresh]
        with ThreadPoolExecutor(PARALLEL) as loaders:
            list(loaders.map(self.load, wanted[:PICTURES_SEEN]))
        self.session.headers["Referer"] = self.origin + path
        return page.text

    def load(self, asset: str) -> None:
        self.fresh.add(asset)
        headers = {"If-None-Match": self.cache[asset]} if asset in self.cache else {}
        impatient = asset.startswith("/media/") and self.chance.random() < 0.02
        with self.session.get(self.origin + asset, headers=headers, stream=True, timeout=10) as answer:
            if impatient:
                return  # closed before all of it was read: the other side gets a reset
            answer.content  # noqa: B018 - reads it
            self.cache[asset] = answer.headers.get("ETag", "")

    def send(self, path: str, document: object) -> requests.Response:
        return self.session.post(self.origin + path, json=document, timeout=10)


def visit(browser: Browser, chance: random.Random) -> None:
    browser.open("/")
    if chance.random() < 0.3:
        browser.session.get(f"{browser.origin}/favicon.ico", timeout=10)  # there is none
    for _ in range(chance.randint(1, 8)):
        pause(LOOK_S, chance)
        step = chance.random()
        if step < 0.35:
            browser.open(f"/category/{chance.choice(CATEGORIES)}")
        elif step < 0.45:
            word = chance.choice(WORDS)
            for length in range(2, len(word)):  # a question with each letter
                browser.session.get(f"{browser.origin}/api/suggest?q={word[:length]}", timeout=10)
            browser.open(f"/search?q={word}")
        elif step < 0.97:
            product = min(int(chance.expovariate(1 / 15)) + 1, PRODUCTS)  # some are liked more than others
            browser.open(f"/product/{product}")
            if chance.random() < 0.35:
                browser.send("/api/cart/items", {"product": product, "count": chance.randint(1, 3)})
        else:
            browser.open(f"/product/{PRODUCTS + 40}")  # an old link
    if chance.random() < 0.4:
        browser.open("/cart")
        pause(LOOK_S, chance)
        order = browser.send("/api/orders", {"express": chance.random() < 0.2})
        if order.status_code == 201:
            browser.session.get(f"{browser.origin}/api/orders/{order.json()['id']}", timeout=10)


def come_and_go(name: str, number: int) -> None:
    chance = random.Random(f"{name} {number}")
    origin = f"https://{SHOP}" if name in BY_TLS else f"http://{SHOP}"
    cache: dict[str, str] = {}
    while True:
        pause(GONE_S, chance)
        browser = Browser(origin, chance, cache)
        visit(browser, chance)
        browser.session.close()
        if chance.random() < 0.6:  # the next one is somebody else
            cache = {}


if __name__ == "__main__":
    urllib3.disable_warnings()  # the shop's certificate is its own work
    assert sys.argv[1] in VISITORS
    people = [threading.Thread(target=come_and_go, args=(sys.argv[1], number)) for number in range(AT_ONCE)]
    for person in people:
        person.start()
    for person in people:
        person.join()
