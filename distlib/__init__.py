"""The library behind the course: protocols, simulated worlds, checkers, figures and labs.

The kit runs, checks, draws and shows any node or policy: ``core``, ``theory``, ``sim``, ``real``, ``check``,
``figures``, ``labs``. Each topic is one folder: ``replication``, ``raft``, ``paxos``, ``balancing``; across them stand
``principles``, ``formulas``, ``workbench`` and ``course``. ``docs/DESIGN.md`` says what is where and who may import
whom.

Importing this package imports none of them, so it is quick; ``from distlib.raft.labs import RaftElectionLab`` loads
what it needs.
"""

import sys as _sys

from distlib import _guard

__version__ = "0.1.0"
__distribution__ = "distributed-systems-course"  # by this name distlib/_guard.py knows the package

_guard.refuse_stranger_in(_sys.path)
