"""Controls: widgets made from a parameter class, so that names, units, ranges and help are stated only there."""

from __future__ import annotations

import math
import random
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import Field, fields
from typing import Any

import ipywidgets as w
import traitlets

from distlib.core.parameter import Parameters, Spec, is_whole, spec_of

FEW = 6
"""More choices than these are folded away behind a line that names the chosen ones."""


class Fold(w.VBox):
    """Widgets out of sight until a press on a line that says what they are."""

    def __init__(self, text: str, *parts: w.Widget) -> None:
        self.line = w.ToggleButton(value=False, description=text, icon="caret-right", layout=w.Layout(width="auto"))
        self.line.add_class("lab-fold")
        self.inside = w.VBox(parts, layout=w.Layout(display="none"))
        self.line.observe(lambda change: self._turn(change["new"]), "value")
        super().__init__([self.line, self.inside])

    def _turn(self, opened: bool) -> None:
        self.inside.layout.display = None if opened else "none"
        self.line.icon = "caret-down" if opened else "caret-right"


class Chips(w.HBox):
    """Several of a few choices: one toggle button each, a check mark on those chosen. ``value`` is a tuple; the last
    ``at_least`` of them cannot be taken away by a click. Many choices are folded away."""

    value = traitlets.Tuple()

    def __init__(
        self, choices: tuple[Any, ...], value: tuple[Any, ...], label: str, help: str = "", at_least: int = 0
    ) -> None:
        self._choices, self._at_least = choices, at_least
        size = w.Layout(width="auto", height="28px")
        self._buttons = [w.ToggleButton(description=str(one), tooltip=help or label, layout=size) for one in choices]
        self.label = w.Label(label, layout=w.Layout(justify_content="flex-end", display=None if label else "none"))
        row = w.Layout(flex_flow="row wrap", align_items="center")
        self._fold = Fold("", w.HBox(self._buttons, layout=row)) if len(choices) > FEW else None
        super().__init__([self.label, *([self._fold] if self._fold else self._buttons)], layout=row)
        self._busy = False
        self.observe(lambda _change: self._push(), "value")
        for button in self._buttons:
            button.observe(lambda _change: self._pull(), "value")
        self.value = value
        self._push()

    def _push(self) -> None:
        self._busy = True
        for choice, button in zip(self._choices, self._buttons, strict=True):
            button.value = choice in self.value
            button.icon = "check" if button.value else ""
        if self._fold is not None:
            some = ", ".join(str(one) for one in self.value[:FEW]) + (" …" if len(self.value) > FEW else "")
            self._fold.line.description = f"{len(self.value)} of {len(self._choices)}: {some}"
        self._busy = False

    def _pull(self) -> None:
        if not self._busy:
            pressed = zip(self._choices, self._buttons, strict=True)
            chosen = tuple(choice for choice, button in pressed if button.value)
            if len(chosen) < self._at_least:
                self._push()
            else:
                self.value = chosen


class Control:
    """One parameter on the screen: the ``widget`` with the ``value``, and the ``box`` that is laid out."""

    def __init__(self, item: Field[Any], spec: Spec) -> None:
        self.spec = spec
        self.whole = is_whole(item)
        self.widget = _widget(item, spec)
        self.box: w.Widget = _with_dice(self.widget) if item.name == "seed" else self.widget
        if isinstance(self.widget, (w.FloatSlider, w.FloatRangeSlider)):
            self.widget.observe(lambda _change: self._show_all_digits(), "value")
        self.give(item.default)

    def give(self, value: Any, ends: tuple[float, float] | None = None) -> None:
        """Set the control to a parameter's value, and its ends to those that the other parameters leave it; a value
        beyond them is kept, and moves them."""
        if ends is not None:
            least, most = (value[0], value[-1]) if isinstance(value, tuple) else (value, value)
            self.limit(*ends)
            low, high = self.ends
            self._set_ends(min(low, least), max(high, most))
        self.widget.value = value
        self._given, self._at_given = value, self.widget.value

    def take(self) -> Any:
        """The parameter's value that the control stands on: exactly the one given, if nobody has moved it since."""
        value = self.widget.value
        if value == self._at_given:
            return self._given
        if not isinstance(self.widget, w.FloatLogSlider):
            return _plain(value)
        low, high = self.ends
        if self.whole:
            return round(min(max(value, low), high))
        steps = (math.log10(value) - self.widget.min) / self.widget.step
        if abs(steps - round(steps)) < 1e-6:  # moved by hand: the value of the read-out, not its 17 digits
            value = float(f"{value:.3g}")
        return _plain(min(max(value, low), high))

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the greatest value of a slider."""
        low, high = self.widget.min, self.widget.max
        return (_plain(10.0**low), _plain(10.0**high)) if isinstance(self.widget, w.FloatLogSlider) else (low, high)

    def limit(self, low: float, high: float) -> None:
        """Let a slider go from ``low`` to ``high`` only, rounded inwards to its steps; its value comes along."""
        if not isinstance(self.widget, w.FloatLogSlider):
            step = self.widget.step
            low, high = math.ceil(low / step - 1e-9) * step, math.floor(high / step + 1e-9) * step
        self._set_ends(min(low, high), high)

    def _set_ends(self, low: float, high: float) -> None:
        widget = self.widget
        if isinstance(widget, w.FloatLogSlider):
            low, high = math.log10(low), math.log10(high)
            widget.step = _log_step(low, high)
        else:
            low, high = _plain(low), _plain(high)
        ends = {"min": low, "max": high}
        for end in ("max", "min") if ends["min"] > widget.max else ("min", "max"):  # never one beyond the other
            setattr(widget, end, ends[end])
        widget.disabled = ends["min"] == ends["max"]

    def _show_all_digits(self) -> None:
        """Let the read-out show what is used, typed or given with more digits than the steps have."""
        value = self.widget.value
        digits = max(map(_decimals, value if isinstance(value, tuple) else (value,)))
        self.widget.readout_format = f".{max(digits, _decimals(self.widget.step))}f"


class Controls:
    """The controls of a lab by name: ``controls.seed.value = 8``. Iterating gives the names. ``figure``, the choice
    among ``figures``, is one of them, beside those of the parameters."""

    def __init__(self, figures: Sequence[str]) -> None:
        self.figure = w.ToggleButtons(options=list(figures), tooltips=[f"Show {name}" for name in figures])
        self._controls: dict[str, Control] = {}
        self._fitting = False

    def add(self, params: type[Parameters], changed: Callable[[], None]) -> None:
        """Make a control for each field of ``params`` that has a ``Spec``; ``changed`` is called after every move."""

        def moved() -> None:
            if not self._fitting:
                self._fit(params)
                changed()

        for item in fields(params):
            if (spec := spec_of(item)) is not None:
                control = self._controls[item.name] = Control(item, spec)
                control.widget.observe(lambda _change: moved(), "value")
        self._fit(params)
        for name, spec in params.specs().items():
            if spec.only_with is not None:
                self._show_only_with(name, *spec.only_with)

    def _fit(self, params: type[Parameters]) -> None:
        """Bring the ends that depend on other controls to where those stand now, and values beyond them along."""
        with self._unheard():
            before: dict[str, Any] = {}
            while before != (standing := {name: control.take() for name, control in self._controls.items()}):
                before = standing  # an end may follow a value that has just followed an end
                for name, ends in params.ends(standing).items():
                    self._controls[name].limit(*ends)

    @contextmanager
    def _unheard(self) -> Iterator[None]:
        """While we move controls, nobody is told."""
        self._fitting = True
        try:
            yield
        finally:
            self._fitting = False

    def _show_only_with(self, name: str, other: str, value: Any) -> None:
        switch = self._controls[other].widget
        switch.observe(lambda _change: self.show(name, switch.value == value), "value")
        self.show(name, switch.value == value)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in self._controls:
            return self._controls[name].widget
        raise AttributeError(f"no control {name!r}; this lab has {', '.join(self)}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__.get("_controls", {}) or (name == "figure" and "figure" in self.__dict__):
            raise AttributeError(f"{name} is a control, not a value; write controls.{name}.value = {value!r}")
        super().__setattr__(name, value)

    def __iter__(self) -> Iterator[str]:
        return iter([*self._controls, "figure"])

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self]

    def box(self, name: str) -> w.Widget:
        """What stands on the screen for a parameter: its widget, and whatever belongs to that."""
        return self._controls[name].box

    def show(self, name: str, visible: bool) -> None:
        """Show the control of a parameter, or take it out of sight."""
        self.box(name).layout.display = None if visible else "none"

    def give(self, *parameters: Parameters, figure: str) -> None:
        """Set the controls to these parameters and this figure."""
        with self._unheard():
            for one in parameters:
                ends = one.ends(vars(one))
                for name in one.specs():
                    self._controls[name].give(getattr(one, name), ends.get(name))
        self.figure.value = figure

    def values(self) -> dict[str, Any]:
        """What the controls stand on, by name; unchecked."""
        return {**{name: control.take() for name, control in self._controls.items()}, "figure": self.figure.value}

    def labels(self, names: Sequence[str]) -> list[str]:
        """What the named controls are called, without units."""
        return [self._controls[name].spec.label for name in names]

    def grid(self, names: Sequence[str]) -> w.GridBox:
        """The named controls in two columns, with labels of one width and none cut off."""
        controls = [self._controls[name] for name in names]
        width = max((_width_px(label_of(one.spec)) for one in controls if not one.spec.several), default=0)
        for control in controls:
            if control.spec.several:
                control.box.layout.grid_area = "auto / 1 / auto / span 2"
                control.widget.label.layout.width = f"{max(width, _width_px(label_of(control.spec)))}px"
            elif isinstance(control.widget, w.Checkbox):
                control.box.layout.margin = f"2px 2px 2px {width + 8}px"
            else:
                control.widget.style.description_width = f"{width}px"
        columns = w.Layout(grid_template_columns="repeat(2, minmax(0, 1fr))", grid_gap="0 28px")
        return w.GridBox([control.box for control in controls], layout=columns)


def _width_px(label: str) -> int:
    """Room that a label needs in JupyterLab's 13 pixel font, Chinese signs included."""
    return 10 + round(sum(13.5 if unicodedata.east_asian_width(sign) in "WF" else 7.2 for sign in label))


def label_of(spec: Spec) -> str:
    """The label with its unit, as it stands before the control: ``election timeout (ms)``."""
    return f"{spec.label} ({spec.unit})" if spec.unit else spec.label


def literal(value: Any) -> str:
    """A value as Python source, without the noise of ``150.0`` for ``150``."""
    if isinstance(value, tuple):
        return f"({', '.join(map(literal, value))}{',' if len(value) == 1 else ''})"
    return repr(_plain(value))


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    if isinstance(value, float) and math.isfinite(value):
        value = float(f"{value:.12g}")  # a slider's 0.30000000000000004 is 0.3
        return int(value) if value.is_integer() else value
    return value


def _widget(item: Field[Any], spec: Spec) -> Any:
    default: Any = item.default
    if spec.several:
        return Chips(spec.choices or (), default, label_of(spec), spec.help, spec.at_least)
    common = {"description": label_of(spec), "tooltip": spec.help or spec.label, "layout": w.Layout(width="auto")}
    if spec.choices is not None:
        return w.Dropdown(options=[(str(one), one) for one in spec.choices], value=default, **common)
    if isinstance(default, bool):
        return w.Checkbox(value=default, indent=False, **common)
    low, high, whole = spec.low, spec.high, is_whole(item)
    if low is None or high is None:
        raise ValueError(f"{item.name} has no control: that takes choices, or numbers with both ends, low and high")
    common |= {"value": default, "continuous_update": False}  # a run for every pixel of a drag would be too many
    if item.name == "seed":
        return w.BoundedIntText(min=int(low), max=int(high), **common)
    if spec.scale == "log":
        if low <= 0:
            raise ValueError(f"{item.name} has a logarithmic scale, so its low end {low!r} must be above 0")
        low, high = math.log10(low), math.log10(high)
        style = "d" if whole else ".3r"
        return w.FloatLogSlider(base=10, min=low, max=high, step=_log_step(low, high), readout_format=style, **common)
    step = _step(item.name, spec, low, high, whole)
    if whole:
        return w.IntSlider(min=int(low), max=int(high), step=int(step), **common)
    slider = w.FloatRangeSlider if isinstance(default, tuple) else w.FloatSlider
    return slider(min=low, max=high, step=step, readout_format=f".{_decimals(step)}f", **common)


def _step(name: str, spec: Spec, low: float, high: float, whole: bool) -> float:
    """The step of a linear slider: the field's own, or a round one of which there are a hundred or more. Steps count
    from 0, and both ends lie on one."""
    step = spec.step or (1 if whole else 10.0 ** math.floor(math.log10((high - low) / 100 * 1.001)))
    while not all(abs(end / step - round(end / step)) < 1e-9 for end in (low, high)):
        if spec.step:
            raise ValueError(f"{name} goes from {low} to {high} in steps of {step}; both ends must be multiples of it")
        step /= 10
    return step


def _log_step(low: float, high: float) -> float:
    """The step, in decades, of a logarithmic slider: about twenty a decade, and the last one ends at ``high``."""
    return (high - low) / max(20, round((high - low) * 20)) or 1.0


def _decimals(number: float) -> int:
    """How many digits a number has behind the point, six at the most."""
    return len(f"{number:.6f}".rstrip("0").partition(".")[2])


def _with_dice(widget: Any) -> w.HBox:
    layout = w.Layout(width="auto", flex="none")
    dice = w.Button(description="another", icon="random", tooltip="Run again with another seed", layout=layout)

    def throw(_button: Any) -> None:
        low, high = max(widget.min, 0), min(widget.max, 9999)
        widget.value = random.choice([seed for seed in range(low, high + 1) if seed != widget.value] or [low])

    dice.on_click(throw)
    widget.layout.flex = "1 1 auto"
    return w.HBox([widget, dice], layout=w.Layout(min_width="0"))
