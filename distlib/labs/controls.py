"""Controls: widgets made from a parameter class, so that names, units, ranges and help are stated only there."""

from __future__ import annotations

import math
import random
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import Field, fields
from enum import Enum
from typing import Any

import ipywidgets as w
import traitlets

from distlib.core.parameter import Parameters, Spec, is_whole, spec_of

LARGEST = 2**53 - 1
"""The largest whole number that a browser holds exactly."""


class Chips(w.HBox):
    """Several of a few choices: one toggle button each, a check mark on those chosen. ``value`` is a tuple."""

    value = traitlets.Tuple()

    def __init__(self, choices: tuple[Any, ...], value: tuple[Any, ...], label: str, help: str = "") -> None:
        self._choices = choices
        self._buttons = [
            w.ToggleButton(
                description=shown(choice), tooltip=help or label, layout=w.Layout(width="auto", height="28px")
            )
            for choice in choices
        ]
        self.label = w.Label(label, layout=w.Layout(justify_content="flex-end"))
        super().__init__(
            [*([self.label] if label else []), *self._buttons],
            layout=w.Layout(flex_flow="row wrap", align_items="center"),
        )
        self._busy = False
        self.observe(lambda _change: self._push(), "value")
        for button in self._buttons:
            button.observe(lambda _change: self._pull(), "value")
        self.value = value
        self._push()

    @traitlets.validate("value")
    def _known(self, proposal: dict[str, Any]) -> tuple[Any, ...]:
        for one in proposal["value"]:
            if one not in self._choices:
                raise traitlets.TraitError(f"{one!r} is none of the choices: {', '.join(map(repr, self._choices))}")
        return tuple(proposal["value"])

    def _push(self) -> None:
        self._busy = True
        for choice, button in zip(self._choices, self._buttons, strict=True):
            button.value = choice in self.value
            button.icon = "check" if button.value else ""
        self._busy = False

    def _pull(self) -> None:
        if not self._busy:
            chosen = zip(self._choices, self._buttons, strict=True)
            self.value = tuple(choice for choice, button in chosen if button.value)


class Control:
    """One parameter on the screen: the ``widget`` with the ``value``, and the ``box`` that is laid out."""

    def __init__(self, item: Field[Any], spec: Spec, instant: bool) -> None:
        self.spec = spec
        self.whole = is_whole(item)
        self.wide = spec.several
        self.widget = _widget(item, spec, instant)
        self.box: w.Widget = _with_dice(self.widget) if item.name == "seed" else self.widget
        self._given: Any = None
        self._at_given: Any = None

    def give(self, value: Any) -> None:
        """Set the control to a parameter's value."""
        self.widget.value = value
        self._given, self._at_given = value, self.widget.value

    def take(self) -> Any:
        """The parameter's value that the control stands on: exactly the one given, if nobody has moved it since."""
        value = self.widget.value
        if value == self._at_given and self._given is not None:
            return self._given
        if isinstance(self.widget, w.FloatLogSlider):
            return self._off_log_slider(value)
        return _plain(value)

    def _off_log_slider(self, value: float) -> float | int:
        steps = (math.log10(value) - self.widget.min) / self.widget.step
        if abs(steps - round(steps)) < 1e-6:  # moved by hand: the value of the read-out, not its 17 digits
            value = float(f"{value:.3g}")
        assert self.spec.low is not None and self.spec.high is not None
        value = min(max(value, self.spec.low), self.spec.high)
        return round(value) if self.whole else value


class Controls:
    """The controls of a lab by name: ``controls.seed.value = 8``. Iterating gives the names."""

    def __init__(self) -> None:
        self._controls: dict[str, Control] = {}
        self._extra: dict[str, Any] = {}

    def add(self, params: type[Parameters], changed: Callable[[], None], *, instant: bool = False) -> None:
        """Make a control for each field of ``params`` that has a ``Spec``.

        ``changed`` is called after every change of one. Sliders report while they are dragged only if ``instant``.
        """
        for item in fields(params):
            spec = spec_of(item)
            if spec is not None:
                control = self._controls[item.name] = Control(item, spec, instant)
                control.widget.observe(lambda _change: changed(), "value")
        for name, spec in params.specs().items():
            if spec.only_with is not None:
                self._show_only_with(name, *spec.only_with)

    def _show_only_with(self, name: str, other: str, value: Any) -> None:
        """Show the control ``name`` while the control ``other`` stands on ``value``."""
        layout, switch = self._controls[name].box.layout, self._controls[other].widget

        def follow(_change: Any = None) -> None:
            layout.display = None if switch.value == value else "none"

        switch.observe(follow, "value")
        follow()

    def add_widget(self, name: str, widget: Any) -> None:
        """Let a widget that is no parameter be found by name."""
        self._extra[name] = widget

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in self._controls:
            return self._controls[name].widget
        if name in self._extra:
            return self._extra[name]
        raise AttributeError(f"no control {name!r}; this lab has {', '.join(self)}")

    def __iter__(self) -> Iterator[str]:
        return iter([*self._controls, *self._extra])

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self]

    def box(self, name: str) -> w.Widget:
        """What stands on the screen for a parameter: its widget, and whatever belongs to that."""
        return self._controls[name].box

    def give(self, params: Parameters) -> None:
        """Set the controls to ``params``."""
        for name, _spec in params.specs().items():
            self._controls[name].give(getattr(params, name))

    def values(self) -> dict[str, Any]:
        """What the controls stand on, by name; unchecked."""
        extra = {name: widget.value for name, widget in self._extra.items()}
        return {**{name: control.take() for name, control in self._controls.items()}, **extra}

    def grid(self, names: list[str]) -> w.GridBox:
        """The named controls in two columns, with labels of one width and none cut off."""
        controls = [self._controls[name] for name in names]
        width = max((_width_px(label_of(one.spec)) for one in controls if not one.wide), default=0)
        for control in controls:
            if control.wide:
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


def shown(choice: Any) -> str:
    """A choice as a person reads it."""
    if isinstance(choice, Enum):
        return str(choice.value)
    return "none" if choice is None else str(choice)


def source(value: Any) -> str:
    """A value as Python source, without the noise of ``150.0`` for ``150``."""
    if isinstance(value, tuple):
        return f"({', '.join(map(source, value))}{',' if len(value) == 1 else ''})"
    return repr(_plain(value))


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    if isinstance(value, float) and math.isfinite(value):
        value = float(f"{value:.12g}")  # a slider's 0.30000000000000004 is 0.3
        return int(value) if value.is_integer() and abs(value) < LARGEST else value
    return value


def _widget(item: Field[Any], spec: Spec, instant: bool) -> Any:
    default: Any = item.default
    common = {"description": label_of(spec), "tooltip": spec.help or spec.label, "layout": w.Layout(width="auto")}
    if spec.several:
        return Chips(spec.choices or (), default, label_of(spec), spec.help)
    if spec.choices is not None:
        return w.Dropdown(options=[(shown(one), one) for one in spec.choices], value=default, **common)
    if isinstance(default, bool):
        return w.Checkbox(value=default, indent=False, **common)
    if isinstance(default, str):
        return w.Text(value=default, continuous_update=False, **common)
    common["continuous_update"] = instant
    if isinstance(default, tuple):
        return _range(item.name, default, spec, common)
    return _number(item.name, default, spec, common, is_whole(item))


def _number(name: str, default: Any, spec: Spec, common: dict[str, Any], whole: bool) -> Any:
    bounded = spec.low is not None and spec.high is not None
    if name == "seed" or not bounded:
        low = -LARGEST if spec.low is None else spec.low
        high = LARGEST if spec.high is None else spec.high
        common["continuous_update"] = False
        if whole:
            return w.BoundedIntText(value=default, min=int(low), max=int(min(high, LARGEST)), **common)
        return w.BoundedFloatText(value=default, min=low, max=high, step=spec.step, **common)
    assert spec.low is not None and spec.high is not None
    if spec.scale == "log":
        if spec.low <= 0:
            raise ValueError(f"{name} has a logarithmic scale, so its low end {spec.low!r} must be above 0")
        low, high = math.log10(spec.low), math.log10(spec.high)
        step = (high - low) / max(20, round((high - low) * 20))  # in decades, so not the field's own step
        common["readout_format"] = "d" if whole else ".3r"
        return w.FloatLogSlider(value=default, base=10, min=low, max=high, step=step, **common)
    if whole:
        step = int(spec.step or 1)
        return w.IntSlider(value=default, min=int(spec.low), max=int(spec.high), step=step, **common)
    step, common["readout_format"] = _step(spec)
    return w.FloatSlider(value=default, min=spec.low, max=spec.high, step=step, **common)


def _range(name: str, default: tuple[float, float], spec: Spec, common: dict[str, Any]) -> Any:
    if spec.low is None or spec.high is None:
        raise ValueError(f"{name} is a range; a slider for it needs both ends, low={spec.low} high={spec.high}")
    step, common["readout_format"] = _step(spec)
    return w.FloatRangeSlider(value=default, min=spec.low, max=spec.high, step=step, **common)


def _step(spec: Spec) -> tuple[float, str]:
    """Step and number format of a slider: about a hundred steps of a round size, unless the field says."""
    assert spec.low is not None and spec.high is not None
    step = spec.step or 10.0 ** math.floor(math.log10((spec.high - spec.low) / 100 * 1.001))
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if step * 10**decimals != round(step * 10**decimals):
        decimals += 1
    return step, f".{decimals}f"


def _with_dice(widget: Any) -> w.HBox:
    dice = w.Button(
        description="another",
        icon="random",
        tooltip="Run again with another seed",
        layout=w.Layout(width="auto", flex="none"),
    )

    def throw(_button: Any) -> None:
        low, high = max(widget.min, 0), min(widget.max, 9999)
        widget.value = random.choice([seed for seed in range(low, high + 1) if seed != widget.value] or [low])

    dice.on_click(throw)
    widget.layout.flex = "1 1 auto"
    return w.HBox([widget, dice], layout=w.Layout(min_width="0"))
