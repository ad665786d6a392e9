"""Labs: a scenario and its figures behind controls, for the notebooks.

``from distlib.labs import RaftElectionLab`` imports that lab's module only; importing this package imports
no widget.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "CourseMap": "course_map",
    "installed": "course_map",
    "FormulaLab": "formulas",
    "HashRingLab": "hashing",
    "KillMatrixLab": "museum",
    "MuseumLab": "museum",
    "LiveQueuesLab": "load_balancing",
    "LoadBalancingLab": "load_balancing",
    "LoadCurveLab": "load_balancing",
    "StaleLab": "load_balancing",
    "RealBalancingLab": "real_balancing",
    "FailoverStudyLab": "raft",
    "RaftElectionLab": "raft",
    "RaftPartitionLab": "raft",
    "SplitChanceLab": "raft",
    "SplitVoteLab": "raft",
    "ThroughputLab": "raft",
    "StepLab": "step",
    "SingleDecreeLab": "paxos",
    "DuelLab": "paxos",
    "QuorumLab": "paxos",
    "LeaderChangeLab": "paxos",
    "ComparisonLab": "paxos",
    "HistoryLab": "history",
    "Prediction": "question",
    "Question": "question",
    "Quiz": "question",
    "prediction": "question",
    "quiz": "question",
    "source": "question",
    "Lab": "lab",
    "Verdict": "markup",
    "Progress": "work",
    "Stopped": "work",
}
"""In which module of this package each public name lives."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"distlib.labs has no {name!r}; it has {', '.join(_HOMES)}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return list(_HOMES)
