"""Primary-backup replication as the judge, the museum, the kill matrix and the Step lab see it."""

from __future__ import annotations

from distlib.check.subject import Requests, Subject
from distlib.core.mutant import mutants_in
from distlib.core.node import NodeId
from distlib.replication import broken
from distlib.replication.invariants import primary_backup_invariants
from distlib.replication.message import ClientRequest
from distlib.replication.primary_backup import Monitor, PrimaryBackup, cluster
from distlib.replication.searches import PRIMARY_BACKUP_SEARCHES
from distlib.replication.state_machine import Put


def writes(names: tuple[NodeId, ...]) -> Requests:
    """Two writes of one client, which it may send to any node."""
    return [(None, ClientRequest(Put("x", number), "C1", number)) for number in (1, 2)]


PRIMARY_BACKUP = Subject(
    PrimaryBackup, cluster, primary_backup_invariants,
    lambda names: [(name, request) for _, request in writes(names) for name in names],  # of no monitor
    searches=PRIMARY_BACKUP_SEARCHES, correct=(PrimaryBackup,), mutants=mutants_in(broken), others=(Monitor,),
)  # fmt: skip
