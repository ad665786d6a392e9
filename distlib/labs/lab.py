"""Lab: a scenario with controls, figures, statistics and verdicts in one frame. The base of every lab.

A chapter's lab says what is its own, and nothing about widgets::

    class CoinLab(Lab):
        title = "Tossing coins"
        params = CoinParams                  # a core.parameter.Parameters: the controls are made from it
        figures = {"tosses": toss_chart}     # the result in, a go.Figure out

        scenario = staticmethod(toss)        # the parameters in, the result out

        def table(self, result):
            return result.statistics

In a notebook ``CoinLab()`` shows it and ``CoinLab(seed=8)`` opens it elsewhere. It needs no screen:
``lab.controls.seed.value = 8`` runs it anew, and ``lab.result`` is what came out.
"""

from __future__ import annotations

import difflib
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import pandas as pd

from distlib.core import require
from distlib.core.parameter import Parameters
from distlib.figures.unchecked import unchecked
from distlib.labs import scenario_file
from distlib.labs.controls import Controls, literal
from distlib.labs.declaration import check_declaration, names_of, options_of, values_of
from distlib.labs.export import KINDS, Export, LabReport
from distlib.labs.frame import Frame
from distlib.labs.markup import LabVerdict
from distlib.labs.picture import Picture
from distlib.labs.shown import Shown, is_first, weakly
from distlib.labs.work import Job, Progress, Stopped

SHOW_S = 2.0
"""How long showing a lab waits for its first run; a longer one is shown with its progress."""


class Lab(Shown):
    """A situation that a reader can change and see.

    A subclass states (the first four at least):

    - ``title``: what the lab is called.
    - ``params``: the class of its parameters; on an instance, the parameters that the picture shows.
    - ``scenario(params)`` or ``run(params, progress)``: parameters in, result out. ``run`` may call ``progress(done,
      total, note)``, which raises ``Stopped`` after a press on Stop; catch that to return what is done so far.
    - ``figures``: name to a function that turns the result into a ``go.Figure``. Its other parameters are options of
      the view, save those with a default that the view does not have.
    - ``view``: a second ``Parameters`` class, for options that change the picture and not the run. Beside a figure
      stand the controls of the options that it names.
    - ``table(result)``, ``verdicts(result)``, ``data(result)``: statistics; what holds and what does not, with a
      witness; data frames for the export, by name.
    - ``presets``: text of a button to the values that it sets, ``{"Split the vote": {"timeout_ms": (150, 150)}}``; all
      others go to their defaults.
    - ``question``: what to look at, as a question above the picture.
    - ``near``: names of the parameters whose controls stand under the picture, beside those of the view; the others are
      in a fold. The default is the first four.
    - ``long``: True where a run takes minutes; it begins with a press on Run, not with every change of a control.

    A run of more than ``patience_s`` seconds goes on in the background, with a progress bar and a Stop button, which
    ends it within a second: clusters and services ask ``core.stopping``, and a long loop of a lab's own should. Keyword
    arguments are values of ``params`` and ``view``, and ``figure``, the name of the figure to show. Raises
    ``TypeError`` for an unknown name and ``ValueError`` or ``TypeError`` for a value that the parameters refuse.
    """

    title: ClassVar[str]
    figures: ClassVar[Mapping[str, Callable[..., Any]]]
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    question: ClassVar[str] = ""
    near: ClassVar[Sequence[str]] = ()
    long: ClassVar[bool] = False
    patience_s: ClassVar[float] = 0.8
    scenario: ClassVar[Callable[[Any], Any]]
    params: Any
    view: Any = Parameters

    def __init_subclass__(cls, base: bool = False) -> None:
        if not base:  # a base of labs leaves to them what they show
            check_declaration(cls)

    def __init__(self, **values: Any) -> None:
        cls = type(self)
        if cls.run is Lab.run and not hasattr(cls, "scenario"):
            raise TypeError(f"{cls.__name__} has no scenario(params), nor run(self, params, progress)")
        self.error: BaseException | None = None
        self._first = self.figure = next(iter(self.figures))
        self.params, self.view = cls.params(), cls.view()
        self._asked = self.params  # of the latest run, finished or not
        self._opened_with = values
        self._result: Any = None
        self._has_result = False
        self._job: Job | None = None
        self._lock = threading.RLock()
        self._behind = False  # the picture is of an earlier run than the controls
        self._quiet = False  # values are being set by us; no run for each
        self._drawn: set[str] = set()  # figures that plotly has checked
        self.picture = Picture()
        self.controls = Controls(list(self.figures))
        self.controls.add(cls.params, weakly(self._params_moved))
        self.controls.add(cls.view, weakly(self._redraw))
        figure_moved = weakly(self._figure_moved)
        self.controls.figure.observe(lambda _change: figure_moved(), "value")
        self._frame = Frame(
            self.title, self.question, self.controls, self.picture, *_near_and_more(cls), self.presets,
            run=weakly(self.start) if self.long else None, stop=weakly(self.stop), reset=weakly(self.reset),
            preset=weakly(self.preset), share=weakly(self.share), report=weakly(self.report),
            failed=partial(weakly(self._fail), stale=False),
        )  # fmt: skip
        self._live_in(self._frame.box, self.controls.figure, self._frame.progress)
        self._figure_moved()
        self.set(**values)

    # --- what a subclass says -------------------------------------------------------------------------------

    def run(self, params: Any, progress: Progress) -> Any:
        """Parameters in, result out; by ``scenario``, unless a lab says otherwise."""
        return type(self).scenario(params)

    def table(self, result: Any) -> pd.DataFrame | None:
        """Statistics of a result."""
        return None

    def verdicts(self, result: Any) -> Sequence[LabVerdict]:
        """Invariants: name, whether it holds (None: not decided), witness."""
        return []

    def data(self, result: Any) -> dict[str, pd.DataFrame]:
        """Data frames for the CSV export, by name. The default is the statistics."""
        table = self.table(result)
        return {} if table is None else {"statistics": table}

    # --- what a reader does ---------------------------------------------------------------------------------

    @property
    def result(self) -> Any:
        """What the latest successful run gave back, None if there is none; waits for one that is under way."""
        self.wait()
        return self._result

    def set(self, **values: Any) -> None:
        """Set several values at once, as with the arguments of the class, and run on them if need be."""
        self._set(values, self.start)

    def preset(self, name: str) -> None:
        """What the button of the preset ``name`` does: set its values, and all others to their defaults; a ``long`` run
        waits for a press on Run."""
        self._set({**self._defaults(), **self.presets[name]}, self._params_moved)

    def reset(self) -> None:
        """Go back to the values that the lab was opened with."""
        self.set(**{**self._defaults(), **self._opened_with})

    def start(self) -> None:
        """Run the scenario on the values of the controls."""
        try:
            self._asked = _made(type(self).params, self._standing())
        except (ValueError, TypeError) as error:
            self._behind = True
            self._fail(error)
        else:
            self._job = Job(self.run, self._asked, self._tell, before=self._job)
            self._job.hand_to(self._publish, self.patience_s)

    def stop(self) -> None:
        """Ask the run under way to stop; what its scenario then hands back is kept."""
        if self._job is not None:
            self._job.progress.stop()
            self._frame.progress.show_stopping()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the latest run has ended and is shown; False if that takes longer than ``timeout_s``."""
        while (job := self._job) is not None:
            if not job.published.wait(timeout_s):
                return False
            if job is self._job:
                break
        return True

    def share(self) -> str:
        """One line of Python that rebuilds this view."""
        values = ", ".join(f"{name}={literal(value)}" for name, value in self.changes().items())
        return f"{type(self).__name__}({values})"

    def changes(self) -> dict[str, Any]:
        """The values behind this view that differ from the defaults, by name."""
        chosen = {} if self.figure == self._first else {"figure": self.figure}
        return {**self.params.changes(), **self.view.changes(), **chosen}

    def report(self) -> LabReport:
        """What the lab shows now, of the run before while one is under way. Raises ``ValueError`` when there is no
        picture yet."""
        with self._lock:
            return self._report()

    def _report(self) -> LabReport:
        result = self._result
        if self.picture.figure is None:
            raise ValueError("there is no picture to export yet")
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", re.sub(r"Lab$", "", type(self).__name__)).lower()
        values = [f"{name}={value}" for name, value in self.changes().items() if name != "figure"]
        return LabReport(
            self.title, "_".join([name, self.figure, *values]), self.share(),
            scenario_file.text(type(self), self.params, self.view, self.figure),
            self.picture.figure, self.table(result), self.verdicts(result), self.data(result),
        )  # fmt: skip

    def export(self, *kinds: str) -> list[Path]:
        """Write files of these kinds (html, svg, png, csv, json; none means all) into ``exports/``; return the paths.
        What cannot be written (an image, without a Chromium) is said in the lab. Raises ``ValueError`` for an unknown
        kind, or when there is no picture yet. Waits for a run that is under way."""
        self.wait()
        files = Export(self.report(), kinds or KINDS)
        files.write_texts()
        files.write_images()
        self._frame.show_files(files)
        return files.written

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The lab that an exported scenario stands for. Raises ``ValueError`` naming the field that is wrong."""
        lab_class, values = scenario_file.read(Path(path), cls)
        lab: Self = lab_class(**values)
        return lab

    def __repr__(self) -> str:
        return self.share()

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        self.wait(SHOW_S)  # a first picture that is nearly ready shall be there when the browser draws
        return super()._repr_mimebundle_(**kwargs)

    def _static(self) -> str:
        if self.picture.figure is None:
            return ""
        shown = (self.picture.figure, self.table(self._result), self.verdicts(self._result))
        return LabReport(self.title, "", self.share(), "", *shown).part(self.picture.html(is_first()))

    # --- values and controls --------------------------------------------------------------------------------

    def _check_names(self, values: Mapping[str, Any]) -> None:
        known = [*names_of(type(self).params, type(self).view), "figure"]
        for name in values:
            if name not in known:
                close = difflib.get_close_matches(name, known, 1)
                hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(known)}"
                raise TypeError(f"{type(self).__name__} has no {name!r}; {hint}")
        require.choice("figure", values.get("figure", self._first), self.figures)

    def _defaults(self) -> dict[str, Any]:
        return {**values_of(type(self).params(), type(self).view()), "figure": self._first}

    def _standing(self) -> dict[str, Any]:
        """Every value by name as the controls stand, and those that have no control as they were last asked for."""
        return {**values_of(self._asked, self.view), **self.controls.values()}

    def _set(self, values: Mapping[str, Any], run: Callable[[], None]) -> None:
        """Set these values on the controls, and ``run`` if they ask for another run than the one in the picture."""
        self._check_names(values)
        standing = {**self._standing(), **values}
        params, view = _made(type(self).params, standing), _made(type(self).view, standing)
        self._quiet = True
        try:
            self._asked, self.view, self.figure = params, view, standing["figure"]
            self.controls.give(params, view, figure=self.figure)
        finally:
            self._quiet = False
        if params != self.params or self.error is not None or not self._has_result:
            run()
        else:
            if self._job is not None and not self._job.published.is_set():  # on values that nobody asks for any more
                self._job.abandon()
                self._frame.progress.hide()
            self._behind = False
            self._redraw()

    def _params_moved(self) -> None:
        if self._quiet:
            return
        if self.long:
            self._behind = True
            self._frame.show_note("Press Run to see these values. The picture below is of earlier ones.")
        else:
            self.start()

    def _figure_moved(self) -> None:
        """Show the options of the chosen figure, and the figure."""
        options = options_of(self.figures[self.controls.figure.value], type(self).view)
        for name in type(self).view.specs():
            self.controls.show(name, name in options)
        self._redraw()

    # --- from a run to the screen ---------------------------------------------------------------------------

    def _tell(self, job: Job, done: float, total: float, note: str) -> None:
        if job is self._job and job.wanted and job.in_background:
            self._frame.progress.show(done, total, note)

    def _publish(self, job: Job) -> None:
        with self._lock:
            if job is not self._job or not job.wanted:
                return
            self._frame.progress.hide()
            self._behind = job.error is not None
            if isinstance(job.error, Stopped):
                below = " The picture below is of the run before." if self._has_result else ""
                self._frame.show_note(f"Stopped before there was a result.{below}")
            elif job.error is not None:
                self._fail(job.error)
            else:
                self._result, self._has_result, self.params = job.result, True, job.params
                self._redraw(early=job.progress.stopping)

    def _redraw(self, early: bool = False) -> None:
        """Bring everything on the screen up to date with the result, the view and the chosen figure."""
        if self._quiet or not self._has_result:
            return
        with self._lock:
            try:
                standing = self._standing()
                self.view, self.figure = _made(type(self).view, standing), standing["figure"]
                draw = self.figures[self.figure]
                options = {name: getattr(self.view, name) for name in options_of(draw, type(self).view)}
                with unchecked() if self.figure in self._drawn else nullcontext():
                    self.picture.show(draw(self._result, **options), self.figure)
                self._drawn.add(self.figure)
                if not self._behind:  # else what was said about that must stay
                    table, verdicts = self.table(self._result), self.verdicts(self._result)
                    self._frame.show_result(table, verdicts, self.params.warnings(), early)
                    self.error = None
            except Exception as error:
                self._fail(error)

    def _fail(self, error: BaseException, stale: bool = True) -> None:
        self.error = error
        self._frame.show_error(error, stale)


def _near_and_more(lab_class: type[Lab]) -> tuple[list[str], list[str]]:
    names = list(lab_class.params.specs())
    near = list(lab_class.near or names[:4])
    return [*near, *lab_class.view.specs()], [name for name in names if name not in near]


def _made(params_class: type[Parameters], values: Mapping[str, Any]) -> Any:
    return params_class(**{name: value for name, value in values.items() if name in names_of(params_class)})
