"""The contracts of the dispatcher's database over PostgreSQL."""

from __future__ import annotations

import pytest

from tests.contracts.attempt_activity import AttemptActivityContract
from tests.contracts.audit_log import AuditLogContract
from tests.contracts.endpoint_store import EndpointStoreContract
from tests.contracts.queue_figures import AttemptHistoryContract, QueueFiguresContract
from tests.contracts.readings import ReadingsContract
from tests.contracts.recording import RecordingContract
from tests.contracts.retention import ErasureContract, RetentionContract
from tests.contracts.shared_time import SharedTimeContract
from tests.contracts.storage_on_postgres import PostgresStorageBackend, postgres_storage
from tests.contracts.unrouted_store import UnroutedStoreContract

__all__ = ["postgres_storage"]


@pytest.fixture
def backend(postgres_storage: PostgresStorageBackend) -> PostgresStorageBackend:
    return postgres_storage


class TestEndpointStore(EndpointStoreContract):
    pass


class TestAuditLog(AuditLogContract):
    pass


class TestSharedTime(SharedTimeContract):
    several_machines = True


class TestQueueFigures(QueueFiguresContract):
    pass


class TestAttemptHistory(AttemptHistoryContract):
    pass


class TestReadings(ReadingsContract):
    pass


class TestAttemptActivity(AttemptActivityContract):
    pass


class TestUnroutedStore(UnroutedStoreContract):
    pass


class TestRetention(RetentionContract):
    pass


class TestErasure(ErasureContract):
    pass


class TestRecording(RecordingContract):
    pass
