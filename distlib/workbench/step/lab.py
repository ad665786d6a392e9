"""The Step lab: all that may happen next in a cluster, and the reader is the network, the clock and the fate."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from distlib.check.cluster.model import ClusterModel
from distlib.check.cluster.replay import Copy
from distlib.check.cluster.world import Drop, Duplicate, Request, Timeout, World
from distlib.core import require
from distlib.core.fault import Crash, Link, Restart
from distlib.core.node import Node, NodeId
from distlib.core.seeds import Seeds
from distlib.core.trace import Trace
from distlib.figures.branches import step_diagram
from distlib.labs.export import Export, LabReport
from distlib.labs.shown import Shown, is_first, weakly
from distlib.labs.work import Job, Progress, Stopped
from distlib.workbench.step.cluster import (
    MOST_STEPS,
    ClusterState,
    HealLinks,
    Impossible,
    PartitionLinks,
    Step,
    StepFile,
    Tree,
    model_of,
    text_of,
)
from distlib.workbench.step.frame import StepFrame
from distlib.workbench.step.panel import content_of
from distlib.workbench.step.picture import SHOWN, StepPicture, scene_of
from distlib.workbench.step.search import Reach, find


class StepLab(Shown):
    """A cluster under the reader's hands, and the tree of everything that was tried.

    ``protocol`` is the class of a subject of ``workbench.subjects``, or a subclass (or a ``ClusterModel``, see ``on``),
    run by ``servers`` nodes. ``steps`` are steps in words, to begin with; ``shown`` is how many steps the picture
    shows. It works without a screen, too: ``lab.fire("S1")``, ``lab.deliver("S1 → S2")``, ``lab.back()``,
    ``lab.play(20, seed=3)``.

    A step that the cluster does not allow raises ``Impossible`` here, and is a message in the lab when a button was
    pressed. What the reader's own class does wrong is a broken invariant, *no handler fails*; if not even its nodes can
    be made, the lab says why, and ``error`` holds the exception.
    """

    def __init__(
        self, protocol: type[Node] | ClusterModel, servers: int = 3, *, steps: Sequence[str] = (), shown: int = 60
    ) -> None:
        require.choice("shown", shown, SHOWN)
        self.protocol = None if isinstance(protocol, ClusterModel) else protocol
        self.servers = servers
        self.error: BaseException | None = None
        self._lock = threading.RLock()
        self._job: Job | None = None
        self._undo: list[tuple[ClusterState, int]] = []  # where the reader was, and the first state made from there
        self._opened_with = tuple(steps)
        press = weakly(self._press)
        self.picture = StepPicture(partial(press, "go"))
        self.picture.shown = shown
        name = "a cluster" if self.protocol is None else getattr(self.protocol, "__name__", repr(protocol))
        self._frame = StepFrame(f"{name}, step by step", press, weakly(self.share), self.picture.box, shown)
        self._live_in(self._frame.box)
        try:
            self.tree = Tree(protocol if isinstance(protocol, ClusterModel) else model_of(protocol, servers))
        except Exception as error:
            if not (isinstance(protocol, type) and issubclass(protocol, Node)):
                raise
            self.error = error
            self._frame.say_error(error)
            return
        self.state = self._walked()
        self._show()

    @classmethod
    def on(cls, model: ClusterModel, *, steps: Sequence[str] = (), shown: int = 60) -> StepLab:
        """The lab on the cluster of ``model``; its bounds and partitioned links don't count, its requests do."""
        require.instance("model", model, ClusterModel, "a distlib.check.cluster.model.ClusterModel")
        return cls(model, len(model.ids), steps=steps, shown=shown)

    def __getattr__(self, name: str) -> Any:
        if name in ("tree", "state"):
            raise Impossible(f"there is no cluster to step through: {self.error}")
        raise AttributeError(f"{type(self).__name__} has no {name!r}")

    # --- what there is --------------------------------------------------------------------------------------

    @property
    def world(self) -> World:
        """The cluster as the explorer sees it."""
        return self.state.world

    @property
    def messages(self) -> tuple[Copy, ...]:
        """What is in flight, in order of sending."""
        return self.state.in_flight

    @property
    def timers(self) -> list[Timeout]:
        """The timers that may fire."""
        return self.tree.timers(self.state)

    @property
    def requests(self) -> list[Request]:
        """What clients may ask, of whom."""
        return self.tree.requests(self.state)

    @property
    def verdicts(self) -> list[tuple[str, bool, str]]:
        """Each invariant: name, whether it holds here, witness."""
        return self.tree.verdicts(self.state)

    @property
    def steps(self) -> tuple[str, ...]:
        """The steps from the start to here, in words."""
        return tuple(state.text for state in self.state.path()[1:])

    @property
    def trace(self) -> Trace:
        """The branch from the start to here, in which step k happens at time k."""
        return self.tree.trace(self.state, self.state.depth + 1.0)

    # --- steps ----------------------------------------------------------------------------------------------

    def deliver(self, which: int | str = "") -> ClusterState:
        """Deliver a message: its number, or words that it contains (``"S1 → S2 Vote"``); the oldest that fits."""
        copy = self._copy(which)
        return self.take(copy.delivery, copy)

    def drop(self, which: int | str = "") -> ClusterState:
        """Lose a message."""
        copy = self._copy(which)
        return self.take(Drop(*copy[1:4]), copy)

    def duplicate(self, which: int | str = "") -> ClusterState:
        """Make a second copy of a message."""
        copy = self._copy(which)
        return self.take(Duplicate(*copy[1:4]), copy)

    def fire(self, node: NodeId, name: str | None = None) -> ClusterState:
        """Let a timer of ``node`` fire: the one called ``name``, or its first."""
        self.tree.check_node(node)
        mine = [one for one in self.timers if one.node == node]
        chosen = [one for one in mine if name in (None, one.name)]
        if not chosen:
            running = ", ".join(one.name for one in mine) or "none"
            raise Impossible(f"{node} has no such timer running ({name or 'any'}); running are: {running}")
        return self.take(chosen[0])

    def request(self, which: int | str = 0) -> ClusterState:
        """Let a client ask: number ``which`` of ``requests``, or the first that contains these words."""
        known = self.requests
        if isinstance(which, int) and 0 <= which < len(known):
            return self.take(known[which])
        fitting = [one for one in known if isinstance(which, str) and which in text_of(one)]
        if not fitting:
            raise Impossible(f"no client has {which!r} to ask; there are: {'; '.join(map(text_of, known)) or 'none'}")
        return self.take(fitting[0])

    def crash(self, node: NodeId) -> ClusterState:
        """``node`` stops, and loses what is not durable."""
        return self.take(Crash(0.0, node))

    def restart(self, node: NodeId) -> ClusterState:
        """``node`` comes back."""
        return self.take(Restart(0.0, node))

    def partition(self, one: NodeId, other: NodeId | None = None, *, one_way: bool = False) -> ClusterState:
        """Partition two nodes, or ``one`` from all others; ``one_way``: only from ``one`` to ``other``."""
        return self.take(PartitionLinks(self._links(one, other, one_way)))

    def heal(self, one: NodeId | None = None, other: NodeId | None = None) -> ClusterState:
        """Heal the link between two nodes, all links of ``one``, or all."""
        asked = self.state.partitioned if one is None else set(self._links(one, other, False))
        links = tuple(sorted(self.state.partitioned & asked))
        if not links:
            of_whom = "" if one is None else f" of {one}" if other is None else f" between {one} and {other}"
            raise Impossible(f"no link{of_whom} is partitioned")
        return self.take(HealLinks(links))

    def take(self, step: Step, copy: Copy | None = None) -> ClusterState:
        """Any step. Raises ``Impossible`` for one that cannot be taken here."""
        with self._lock:
            first = self.tree.next
            return self._arrive(self.tree.grow(self.state, step, copy), first)

    def _links(self, one: NodeId, other: NodeId | None, one_way: bool) -> tuple[Link, ...]:
        others = [node for node in self.tree.ids if node != one] if other is None else [other]
        there = [(one, node) for node in others]
        return tuple(there if one_way else [*there, *((node, one) for node in others)])

    def _copy(self, which: int | str) -> Copy:
        fitting = [
            copy for copy in self.messages
            if (copy.number == which if isinstance(which, int) else which in text_of(copy.delivery))
        ]  # fmt: skip
        if not fitting:
            in_flight = "; ".join(text_of(copy.delivery) for copy in self.messages[:8]) or "nothing"
            raise Impossible(f"no message in flight is {which!r}; in flight: {in_flight}")
        free = [one for one in fitting if not self.state.holds_up(one.sender, one.receiver)]
        return (free or fitting)[0]

    # --- the tree -------------------------------------------------------------------------------------------

    def back(self, steps: int = 1) -> ClusterState:
        """Go back along the branch; what was tried stays in the tree."""
        state = self.state
        for _ in range(steps):
            state = state.parent or state
        return self.go(state.number)

    def forward(self) -> ClusterState:
        """Go on along the branch that was tried last from here; stay if there is none."""
        return self.go(self.state.children[-1].number if self.state.children else self.state.number)

    def go(self, number: int) -> ClusterState:
        """Go to any state of the tree. Raises ``ValueError`` for a number that no state has."""
        with self._lock:
            if number not in self.tree.states:
                raise ValueError(f"there is no state {number!r} among the {len(self.tree)} of the tree; 0 is the start")
            return self._arrive(self.tree.states[number], self.tree.next)

    def undo(self) -> ClusterState:
        """Take back what was done last: a step (it leaves the tree), a jump, a whole play or search."""
        with self._lock:
            if self._undo:
                self.state, first = self._undo.pop()
                self.tree.prune(first)
            return self._show()

    def reset(self) -> ClusterState:
        """Start again, with an empty tree."""
        self.stop()
        with self._lock:
            self.tree, self._undo = Tree(self.tree.asked), []
            self.state = self._walked()
            return self._show()

    def _walked(self) -> ClusterState:
        """The state after the steps that the lab was opened with."""
        return self.tree.regrow(list(enumerate(self._opened_with)), "steps")[-1]

    def play(self, steps: int = 20, seed: int = 7, *, faults: bool = False) -> ClusterState:
        """Go on at random, by ``steps`` steps or to a violation; with ``faults``, messages get lost and doubled, nodes
        crash and restart. The same seed always goes the same way from here."""
        require.whole("steps", steps, 1, MOST_STEPS)
        random = Seeds(seed).stream("step lab")
        with self._lock:
            state, first = self.state, self.tree.next
            for _ in range(steps):
                step = self.tree.drawn(state, random, faults)
                if step is None:
                    break
                state = self.tree.grow(state, step)
            return self._arrive(state, first)

    def _arrive(self, state: ClusterState, first: int) -> ClusterState:
        """Go to ``state``, so that one undo takes back all states that were made on the way, from ``first`` on."""
        if state is not self.state:
            self._undo.append((self.state, first))
        self.state = state
        return self._show()

    # --- searching ------------------------------------------------------------------------------------------

    def find(self, **reach: Any) -> None:
        """Search for a violation from here, in the background (``wait`` waits for the end), and go there. ``reach`` as
        in ``distlib.workbench.step.search.Reach``: timeouts, crashes, losses, duplicates, seconds, seed."""
        asked, state = Reach(**reach), self.state
        if state.broken is not None:
            raise Impossible(f"{state.broken.invariant} is broken here already; go back first")

        def work(_params: Any, progress: Progress) -> tuple[list[Step], str]:
            progress(0, 1, "searching …")
            return find(self.tree, state, asked, progress)

        self._job = Job(work, asked, lambda _job, *now: self._frame.progress.show(*now), before=self._job)
        self._job.hand_to(partial(self._found, state))

    def _found(self, start: ClusterState, job: Job) -> None:
        with self._lock:
            if job is not self._job:  # another search has taken its place
                return
            self._frame.progress.hide()
            if isinstance(job.error, Stopped):
                self._frame.say("note", "Stopped.")
            elif job.error is not None:
                self.error = job.error
                self._frame.say_error(job.error)
            elif start.number in self.tree.states:
                self._follow(start, *job.result)

    def _follow(self, start: ClusterState, steps: list[Step], said: str) -> None:
        state, first = start, self.tree.next
        for step in steps:
            state = self.tree.grow(state, step)
        if steps:
            self._arrive(state, first)
        broken = f"{state.broken.invariant} breaks {len(steps)} steps on. " if state.broken else ""
        self._frame.say("warning" if steps else "note", f"{broken}{said}")

    def stop(self) -> None:
        """Stop a search; what it found by then is kept."""
        if self._job is not None:
            self._job.progress.stop()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until a search has ended and is shown; False if that takes longer than ``timeout_s``."""
        return self._job is None or self._job.published.wait(timeout_s)

    # --- on paper -------------------------------------------------------------------------------------------

    def share(self) -> str:
        """One line of Python that leads here."""
        extra = f", steps={self.steps!r}" if self.steps else ""
        extra += f", shown={self.picture.shown}" if self.picture.shown != SHOWN[1] else ""
        if self.protocol is None:
            return f"StepLab.on(model{extra})"
        servers = f", servers={self.servers}" if self.servers != 3 else ""
        return f"StepLab({self.protocol.__name__}{servers}{extra})"

    def report(self) -> LabReport:
        """What the lab shows now."""
        name = "cluster" if self.protocol is None else self.protocol.__name__
        file = StepFile.of(self.tree, self.state, self.protocol, self.servers, self.picture.shown)
        return LabReport(
            self._frame.title, f"step_{name}_{self.state.depth}-steps", self.share(), file.text(), self.diagram(),
            verdicts=self.verdicts, steps=self.steps,
        )  # fmt: skip

    def export(self, *kinds: str) -> list[Path]:
        """Write files of these kinds (html: the diagram; json: the tree, for ``load``; svg, png; none: html and json)
        into ``exports/``; return their paths. Raises ``ValueError`` for an unknown kind."""
        files = Export(self.report(), kinds or ("html", "json"))
        files.write_texts()
        files.write_images()
        return files.written

    def diagram(self) -> Any:
        """The whole branch and the tree as a figure, for a cell of its own."""
        window = (0.0, float(max(self.state.depth + 2, 20)))
        return step_diagram(scene_of(self.tree, self.state, window))

    @classmethod
    def load(cls, path: str | Path, protocol: type[Node] | ClusterModel | None = None) -> StepLab:
        """The lab, with its whole tree, from an exported JSON file; a class of the reader's own must be given again.
        Raises ``ValueError`` naming the file and the field that is wrong."""
        path = Path(path)
        file = StepFile.read(path)
        shown = file.shown if file.shown in SHOWN else SHOWN[1]
        lab = cls(protocol or file.node_class(path.name), file.servers, shown=shown)
        if lab.error is not None:
            raise ValueError(f"{path.name}: {lab.error}") from lab.error
        lab.state = lab.tree.regrow(file.states, f"{path.name}: states")[file.here]
        lab._show()
        return lab

    def __repr__(self) -> str:
        if self.error is not None:
            return f"StepLab({getattr(self.protocol, '__name__', self.protocol)}): {self.error}"
        words = f"step {self.state.depth}, {len(self.messages)} in flight, {len(self.tree)} states"
        return f"{self._frame.title}: {words}"

    def _static(self) -> str:
        return "" if self.picture.figure is None else self.report().part(self.picture.html(is_first()))

    # --- the screen -----------------------------------------------------------------------------------------

    def zoom(self, shown: int) -> ClusterState:
        """Show ``shown`` steps in the picture."""
        self.picture.shown = require.choice("shown", shown, SHOWN)
        return self.go(self.state.number)

    def press_panel(self, act: str, key: str) -> ClusterState:
        """Do what a button of the panel says, by the panel's own names of messages, timers, requests and links."""
        match act:
            case "crash" | "restart":
                return getattr(self, act)(key)
            case "fire":
                return self.take(self.timers[int(key)])
            case "link":
                one, other = key.split("|")
                apart = {(one, other), (other, one)} & self.state.partitioned
                return self.heal(one, other) if apart else self.partition(one, other)
        return getattr(self, act)(int(key))

    def _show(self) -> ClusterState:
        content = content_of(self.tree, self.state)
        self.error = None
        self._frame.show(content, self.tree.ends(), self.state)
        self.picture.show_state(self.tree, self.state)
        return self.state

    def _press(self, name: str, *arguments: Any, **options: Any) -> Any:
        """Do what a button says: call the method of this name; what cannot be is a message in the lab."""
        try:
            self._frame.say("note", "")
            return getattr(self, name)(*arguments, **options)
        except Impossible as error:
            self._frame.say("note", str(error))
        except Exception as error:  # a callback's exception would vanish in the kernel's log
            self.error = error
            self._frame.say_error(error)
        return None
