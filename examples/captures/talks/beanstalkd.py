"""A producer and a worker on two tubes: put, reserve, delete, release, bury, kick, statistics, every error."""

from __future__ import annotations

from network import BUILD_MACHINE, LAPTOP, TEXT_SERVICES

from talks._line import line

PORT = 11300


def talk() -> None:
    with line(TEXT_SERVICES, PORT, BUILD_MACHINE) as producer, line(TEXT_SERVICES, PORT, LAPTOP) as worker:
        producer.ask(b"use emails\r\n", b"USING emails\r\n")
        job = b'{"to": "ada@example.test", "subject": "Your order"}'
        producer.ask(b"put 100 0 60 %d\r\n%s\r\n" % (len(job), job), b"INSERTED 1\r\n")
        worker.ask(b"watch emails\r\n", b"WATCHING 2\r\n")
        worker.ask(b"ignore default\r\n", b"WATCHING 1\r\n")
        worker.ask(b"ignore emails\r\n", b"NOT_IGNORED\r\n")
        worker.ask(b"reserve\r\n", b"RESERVED 1 %d\r\n%s\r\n" % (len(job), job))
        worker.ask(b"touch 1\r\n", b"TOUCHED\r\n")
        worker.ask(b"stats-job 1\r\n", b"\r\n---\n")
        worker.hear(b"\r\n")
        worker.ask(b"delete 1\r\n", b"DELETED\r\n")
        worker.ask(b"delete 1\r\n", b"NOT_FOUND\r\n")
        # Pipelined: three commands in one segment, one of whose bodies looks like a command.
        producer.say(b"put 10 0 60 8\r\ndelete 1\r\nput 0 1 60 0\r\n\r\nput 5 0 60 6\r\n\x00\r\n\xff\r\n\r\n")
        producer.hear(b"INSERTED 4\r\n")
        worker.ask(b"reserve-with-timeout 0\r\n", b"RESERVED 4 6\r\n\x00\r\n\xff\r\n\r\n")
        worker.ask(b"release 4 1000 0\r\n", b"RELEASED\r\n")
        worker.ask(b"reserve\r\n", b"RESERVED 2 8\r\ndelete 1\r\n")
        worker.ask(b"bury 2 50\r\n", b"BURIED\r\n")
        worker.ask(b"peek-buried\r\n", b"NOT_FOUND\r\n")  # it looks at the tube in use, not at those watched
        producer.ask(b"peek-buried\r\n", b"FOUND 2 8\r\ndelete 1\r\n")
        producer.ask(b"peek-ready\r\n", b"FOUND 4 6\r\n\x00\r\n\xff\r\n\r\n")
        producer.ask(b"kick 10\r\n", b"KICKED 1\r\n")
        producer.ask(b"list-tubes\r\n", b"- emails\n\r\n")
        producer.ask(b"list-tube-used\r\n", b"USING emails\r\n")
        producer.ask(b"stats-tube emails\r\n", b"\n\r\n")
        producer.ask(b"stats\r\n", b"\n\r\n")
        producer.ask(b"pause-tube emails 1\r\n", b"PAUSED\r\n")
        worker.ask(b"reserve-with-timeout 0\r\n", b"TIMED_OUT\r\n")
        worker.ask(b"use thumbnails\r\n", b"USING thumbnails\r\n")
        large = b"\x89PNG" + bytes(3000)
        worker.ask(b"put 1 0 60 %d\r\n%s\r\n" % (len(large), large), b"INSERTED 5\r\n")
        producer.ask(b"put 1 0 60 5000\r\n" + bytes(5000) + b"\r\n", b"JOB_TOO_BIG\r\n")
        producer.ask(b"put 1 0 60 3\r\nabcde\r\n", b"EXPECTED_CRLF\r\n")
        producer.ask(b"fetch 1\r\n", b"UNKNOWN_COMMAND\r\n")
        producer.ask(b"put many\r\n", b"BAD_FORMAT\r\n")
        worker.ask(b"watch thumbnails\r\n", b"WATCHING 2\r\n")
        worker.ask(b"reserve-with-timeout 2\r\n", b"RESERVED ")
        worker.hear(b"\r\n")
        producer.say(b"quit\r\n")
