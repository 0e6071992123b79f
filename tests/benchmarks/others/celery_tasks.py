"""A dispatcher of Celery and Redis: a task for each push, with the same schedule.

A task that a killed worker had is run again (`acks_late`), and what became of it is kept in Redis.
So a report is pushed at least once and its push is recorded, as with `dlr`.
"""

from __future__ import annotations

import os
from typing import Any

import urllib3
from celery import Celery

REDIS = os.environ["PUSHES_REDIS"]

app = Celery("pushes", broker=REDIS, backend=REDIS)
app.conf.task_acks_late = True
connections = urllib3.PoolManager(maxsize=32)


@app.task(bind=True, max_retries=20)
def push(task: Any, url: str, body: str) -> int:
    headers = {"Content-Type": "application/json"}
    try:
        answer = connections.request("POST", url, body=body, headers=headers, timeout=30)
        if answer.status >= 300:
            raise ConnectionError(f"answered {answer.status}")
    except (ConnectionError, urllib3.exceptions.HTTPError) as error:
        raise task.retry(exc=error, countdown=60 + 60 * task.request.retries**2) from error
    return int(answer.status)
