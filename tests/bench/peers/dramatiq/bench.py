"""dramatiq sending N delayed template messages: the same work as the other programs beside it.

python bench.py enqueue --redis-port P --n N --due-ms A --over-ms B
python bench.py work --redis-port P --sink http://127.0.0.1:PORT --concurrency C [--rate R]
"""

import argparse
import json
import signal
import threading
import time

import dramatiq
import urllib3
from dramatiq.brokers.redis import RedisBroker
from dramatiq.rate_limits import WindowRateLimiter
from dramatiq.rate_limits.backends import RedisBackend

TIMEOUT_SECONDS = 10


def arguments():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)

    enqueue = commands.add_parser("enqueue")
    enqueue.add_argument("--redis-port", type=int, required=True)
    enqueue.add_argument("--n", type=int, required=True)
    enqueue.add_argument("--due-ms", type=int, required=True)
    enqueue.add_argument("--over-ms", type=int, required=True)

    work = commands.add_parser("work")
    work.add_argument("--redis-port", type=int, required=True)
    work.add_argument("--sink", required=True)
    work.add_argument("--concurrency", type=int, required=True)
    work.add_argument("--rate", type=int)
    return parser.parse_args()


args = arguments()
broker = RedisBroker(host="127.0.0.1", port=args.redis_port)
dramatiq.set_broker(broker)
pool = None
limiter = None


# Three attempts in all, the first retry after about a second, as in the other programs.
@dramatiq.actor(queue_name="morning", max_retries=2, min_backoff=1000)
def send(index, recipient, to, name, language, first_name, headline, due_ms):
    if limiter:
        wait_for_slot()
    response = pool.request(
        "POST",
        "/v23.0/1001/messages",
        headers={"content-type": "application/json", "authorization": "Bearer token"},
        json={
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": to,
            "type": "template",
            "template": {
                "name": name,
                "language": {"code": language},
                "components": [
                    {
                        "type": "body",
                        "parameters": [
                            {"type": "text", "parameter_name": "first_name", "text": first_name},
                            {"type": "text", "parameter_name": "headline", "text": headline},
                        ],
                    }
                ],
            },
            "biz_opaque_callback_data": f"{index}:{due_ms}",
        },
    )
    if response.status != 200 or not response.json()["messages"][0]["id"]:
        raise RuntimeError(f"not accepted: {response.status}")
    # The id is not returned: without a result backend dramatiq would only warn and drop it.


def wait_for_slot():
    # Waiting here, because a RateLimitExceeded would spend one of the message's attempts.
    while True:
        with limiter.acquire(raise_on_failure=False) as acquired:
            if acquired:
                return
        time.sleep(1 - time.time() % 1)  # the limiter's windows are whole seconds


def enqueue():
    broker.client.ping()
    began = time.monotonic()
    # One round trip for each message. dramatiq has no bulk enqueue (a group sends its messages
    # one by one too) and RedisBroker offers no way to put its script call into a pipeline.
    for i in range(args.n):
        due_ms = args.due_ms + i * args.over_ms // args.n
        send.send_with_options(
            kwargs={
                "index": i,
                "recipient": f"r{i:07}",
                "to": f"+91{9_000_000_000 + i}",
                "name": "daily_pack",
                "language": "en",
                "first_name": "Asha",
                "headline": "Markets open at 9:15",
                "due_ms": due_ms,
            },
            delay=max(0, due_ms - time.time_ns() // 1_000_000),
        )
    seconds = time.monotonic() - began
    print(json.dumps({"n": args.n, "seconds": seconds}, separators=(",", ":")), flush=True)


def work():
    global pool, limiter
    pool = urllib3.connection_from_url(
        args.sink,
        maxsize=args.concurrency,
        block=True,
        timeout=TIMEOUT_SECONDS,
        retries=False,  # dramatiq does the retrying
    )
    if args.rate:
        limiter = WindowRateLimiter(RedisBackend(client=broker.client), "morning", limit=args.rate)

    # What dramatiq's command line does in each of its worker processes, in the same order,
    # without its parent process, so that one process is all there is to measure.
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    broker.emit_after("process_boot")
    worker = dramatiq.Worker(broker, worker_threads=args.concurrency)
    worker.start()
    print("ready", flush=True)

    stopped.wait()
    worker.stop()
    broker.close()


{"enqueue": enqueue, "work": work}[args.command]()
