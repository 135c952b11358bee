"""What the shop sells, and the words for it: made up, the same at every recording."""

from __future__ import annotations

import random
from pathlib import Path

SEED = 78
PRODUCTS = 60
CATEGORIES = ("tea", "cups", "pots", "tins", "books")
_TEXT = (
    "amber autumn balanced bergamot black blossom bright calm caramel clay copper cup delicate dried early earthy "
    "evening fine floral fresh garden gentle ginger glaze gold green hand harvest hill honey jasmine kettle leaf "
    "light malty mellow mild mint morning mountain oak oolong orchard pale pepper picked plum porcelain pressed "
    "quiet rich river roasted rose round silver slow smoke smooth soft spring steeped stone strong sweet thin tin "
    "valley vanilla velvet village warm water white wild winter wood"
)
WORDS = _TEXT.split()


def sentences(chance: random.Random, words: int) -> str:
    return " ".join(chance.choice(WORDS) for _ in range(words)).capitalize() + "."


def products() -> list[tuple[int, str, str, str, float, int]]:
    """Return (id, name, category, description, price, stock) of each."""
    chance = random.Random(SEED)
    return [
        (
            number,
            f"{chance.choice(WORDS).title()} {chance.choice(WORDS)}",
            CATEGORIES[number % len(CATEGORIES)],
            sentences(chance, chance.randint(20, 70)),
            round(chance.uniform(3, 60), 2),
            chance.randint(0, 200),
        )
        for number in range(1, PRODUCTS + 1)
    ]


def schema() -> str:
    """Return the SQL that makes and fills the database."""
    chance = random.Random(SEED + 1)
    rows = ",\n".join(
        f"({number}, '{name}', '{category}', '{text}', {price}, {stock})"
        for number, name, category, text, price, stock in products()
    )
    reviews = ",\n".join(
        f"({chance.randint(1, PRODUCTS)}, {chance.randint(1, 5)}, '{sentences(chance, chance.randint(5, 40))}')"
        for _ in range(400)
    )
    return (
        "CREATE TABLE products (id int PRIMARY KEY, name text, category text, description text, price numeric(8,2),"
        " stock int);\n"
        f"INSERT INTO products VALUES {rows};\n"
        "CREATE TABLE reviews (id serial PRIMARY KEY, product int REFERENCES products, stars int, text text,"
        " written timestamptz DEFAULT '2024-05-01 12:00:00Z');\n"
        f"INSERT INTO reviews (product, stars, text) VALUES {reviews};\n"
        "CREATE TABLE orders (id serial PRIMARY KEY, visitor text, total numeric(9,2), status text,"
        " placed timestamptz DEFAULT now());\n"
        "CREATE TABLE order_lines (order_id int REFERENCES orders, product int, count int, price numeric(8,2));\n"
        "CREATE INDEX ON reviews (product);\n"
    )


def write_pictures(folder: Path) -> None:
    """Write a thumbnail and a picture of each product: noise behind a JPEG's first bytes, nothing compresses it."""
    chance = random.Random(SEED + 2)
    for number in range(1, PRODUCTS + 1):
        for name, least, most in ((f"{number}-small.jpg", 1_500, 4_000), (f"{number}.jpg", 8_000, 20_000)):
            start = b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"
            (folder / name).write_bytes(start + chance.randbytes(chance.randint(least, most)) + b"\xff\xd9")


def write_static(folder: Path) -> None:
    """Write the style sheet and the script of every page."""
    chance = random.Random(SEED + 3)
    rules = (
        f".{chance.choice(WORDS)}-{chance.choice(WORDS)} {{ margin: {chance.randint(0, 40)}px; "
        f"color: #{chance.randrange(1 << 24):06x}; flex: {chance.randint(1, 9)} }}\n"
        for _ in range(350)
    )
    functions = (
        f"export function {chance.choice(WORDS)}{chance.choice(WORDS).title()}(event) {{\n"
        f"  const {chance.choice(WORDS)} = document.querySelector('.{chance.choice(WORDS)}');\n"
        f"  return fetch('/api/{chance.choice(WORDS)}/' + {chance.randint(1, 99)}).then(answer => answer.json());\n}}\n"
        for _ in range(400)
    )
    (folder / "app.css").write_text("".join(rules))
    (folder / "app.js").write_text("".join(functions))
