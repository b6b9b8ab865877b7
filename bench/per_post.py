"""The opponent of `bench.delivery`: one Celery job per POST, sent with requests, as most projects do it."""

import base64
import hashlib
import hmac
import os
import time

import requests
from celery import Celery

app = Celery("per_post", broker=os.environ.get("BENCH_BROKER", ""))
app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=4, broker_connection_retry_on_startup=True)


def signed(key: bytes, message_id: str, body: bytes) -> dict[str, str]:
    """The headers of Standard Webhooks."""
    stamp = str(int(time.time()))
    digest = hmac.digest(key, f"{message_id}.{stamp}.".encode() + body, hashlib.sha256)
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": stamp,
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }


@app.task(autoretry_for=(requests.RequestException,), retry_backoff=True, max_retries=10)
def post(url: str, message_id: str, body: str) -> None:
    data = body.encode()
    requests.post(url, data=data, headers=signed(b"bench", message_id, data), timeout=15).raise_for_status()
