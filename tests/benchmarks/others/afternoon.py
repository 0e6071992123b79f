"""The receiver that one writes in an afternoon: FastAPI and SQLAlchemy, a commit for each request.

Its file is set up like the one of `dlr`: a write-ahead log, and each commit flushed to the disk. It
keeps each report once, as JSON, and has nothing else: no quarantine, no search, no dispatching.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI
from sqlalchemy import JSON, UniqueConstraint, create_engine, event, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    pass


class Report(Base):
    __tablename__ = "report"
    __table_args__ = (UniqueConstraint("message_id", "status", "done_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    message_id: Mapped[str]
    status: Mapped[int]
    done_at: Mapped[str]
    item: Mapped[dict[str, Any]] = mapped_column(JSON)


app = FastAPI()
engine = create_engine(f"sqlite:///{sys.argv[1]}", connect_args={"timeout": 30})


@event.listens_for(engine, "connect")
def _safe(connection: Any, _: object) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


def _session() -> Iterator[Session]:
    with Session(engine) as session:
        yield session


Open = Annotated[Session, Depends(_session)]


@app.post("/notify")
def notify(body: dict[str, list[dict[str, Any]]], session: Open) -> dict[str, int]:
    stored = 0
    for item in body["results"]:
        report = Report(
            message_id=item["messageId"],
            status=item["status"]["id"],
            done_at=item["doneAt"],
            item=item,
        )
        known = select(Report.id).where(
            Report.message_id == report.message_id,
            Report.status == report.status,
            Report.done_at == report.done_at,
        )
        if session.scalar(known) is None:
            session.add(report)
            stored += 1
    session.commit()
    return {"stored": stored}


def main() -> None:
    Base.metadata.create_all(engine)
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        print(f"listening on http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
        config = uvicorn.Config(app, log_level="critical", access_log=False)
        uvicorn.Server(config).run([listening])


if __name__ == "__main__":
    main()
