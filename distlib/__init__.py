"""The library behind the course: protocols, simulated worlds, checkers, figures and labs.

Rooms, from the ground up (imports run strictly downward):

``core``
    The vocabulary: nodes, the event queue, traces, seeds.
``protocols``, ``policies``, ``theory``
    The subject itself: one protocol, one family of choices or one closed form a file.
``sim``, ``check``, ``real``
    Worlds that run a node: a seeded simulator, checkers that try to break it, real processes.
``scenarios``, ``figures``
    Frozen parameters in, result out; result in, plotly figure out.
``labs``
    The widgets of the notebooks.

Importing this package imports none of them, so it is quick; ``from distlib.labs import RaftLab`` loads what it needs.
"""

import sys as _sys

from distlib import _guard

__version__ = "0.1.0"
__distribution__ = "distributed-systems-course"  # by this name distlib/_guard.py knows the package

_guard.refuse_stranger_in(_sys.path)
