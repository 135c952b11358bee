"""Statements good and bad, empty and many-rowed, in the simple protocol (psql) and the extended one (pgbench)."""

from __future__ import annotations

import os
import subprocess
import tempfile

from network import DATABASE

SCRIPT = """
CREATE TABLE orders (id serial PRIMARY KEY, item text NOT NULL, total numeric, note text);
INSERT INTO orders (item, total) VALUES ('tea', 9.5), ('cups', 30), ('O''Neill''s pot', NULL);
SELECT id, item, total, note FROM orders ORDER BY id;
SELECT count(*), sum(total) FROM orders WHERE item = 'nothing';
SELECT generate_series(1, 300) AS number, repeat('x', 40) AS text;
SELEC oops;
INSERT INTO orders (id, item) VALUES (1, 'again');
BEGIN; UPDATE orders SET total = total * 1.1; ROLLBACK;
COPY orders (item, total) FROM STDIN;
plate\t4.25
\\N\t1
\\.
COPY orders TO STDOUT;
LISTEN news; NOTIFY news, 'hello';
SELECT 1 AS one\\; SELECT 2 AS two;
"""
PREPARED = "\\set id random(1, 3)\nSELECT item, total FROM orders WHERE id = :id;\n"


def talk() -> None:
    environment = {**os.environ, "PGHOST": DATABASE, "PGUSER": "shop", "PGDATABASE": "postgres", "PGSSLMODE": "prefer"}
    quiet = {"env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(["psql", "--no-psqlrc", "--quiet"], input=SCRIPT.encode(), check=True, timeout=10, **quiet)
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(PREPARED)
        script.flush()
        for mode in ("extended", "prepared"):
            command = ["pgbench", "--no-vacuum", "--transactions=3", f"--protocol={mode}", f"--file={script.name}"]
            subprocess.run(command, check=True, timeout=10, **quiet)
