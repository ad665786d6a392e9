"""The published inter-region round-trip times: complete, plausible, and read with clear errors."""

from __future__ import annotations

from math import asin, cos, radians, sin, sqrt
from pathlib import Path

import pytest

from distlib.sim import regions
from distlib.sim.regions import REGIONS, SAME_REGION_RTT_MS, one_way_ms, round_trip_ms

PAIRS = [(a, b) for a in REGIONS for b in REGIONS if a != b]

# Cities of the regions, degrees of latitude and longitude.
CITY = {
    "UK South": (51.51, -0.13),
    "Southeast Asia": (1.35, 103.82),
    "Japan East": (35.68, 139.69),
    "Australia East": (-33.87, 151.21),
    "Brazil South": (-23.55, -46.63),
    "South Africa North": (-26.20, 28.05),
    "Canada Central": (43.65, -79.38),
    "Korea Central": (37.57, 126.98),
}
LIGHT_KM_PER_MS = 299.792458


def great_circle_km(a: tuple[float, float], b: tuple[float, float]) -> float:
    (lat_a, lon_a), (lat_b, lon_b) = ((radians(x), radians(y)) for x, y in (a, b))
    h = sin((lat_b - lat_a) / 2) ** 2 + cos(lat_a) * cos(lat_b) * sin((lon_b - lon_a) / 2) ** 2
    return 2 * 6371 * asin(sqrt(h))


def test_every_directed_pair_of_at_least_eight_regions_on_six_continents() -> None:
    assert len(REGIONS) >= 8
    assert len({region.continent for region in REGIONS.values()}) == 6
    assert set(round_trip_ms()) == set(PAIRS)


@pytest.mark.parametrize(
    ("from_region", "to_region", "rtt_ms"),
    [
        ("Japan East", "Korea Central", 29),
        ("Korea Central", "Japan East", 30),
        ("East US", "UK South", 78),
        ("Brazil South", "Southeast Asia", 331),
        ("South Africa North", "Australia East", 328),
        ("Germany West Central", "UAE North", 118),
        ("UAE North", "Germany West Central", 100),
    ],
)
def test_figures_are_as_published(from_region: str, to_region: str, rtt_ms: float) -> None:
    """Microsoft, Azure network round-trip latency statistics, P50, 30 days ending on 30 July 2026."""
    assert round_trip_ms()[from_region, to_region] == rtt_ms


def test_both_directions_agree_within_ten_percent_but_for_one_published_exception() -> None:
    rtt = round_trip_ms()
    apart = {frozenset((a, b)) for a, b in PAIRS if abs(rtt[a, b] - rtt[b, a]) > 0.1 * min(rtt[a, b], rtt[b, a])}
    assert apart == {frozenset(("Germany West Central", "UAE North"))}


@pytest.mark.parametrize(("a", "b"), [(a, b) for a in CITY for b in CITY if a != b])
def test_no_round_trip_beats_light_and_none_is_absurdly_slow(a: str, b: str) -> None:
    """Light in vacuum is a hard floor; the worst detour, Brazil to South Africa, takes 6.5 times that."""
    light_ms = 2 * great_circle_km(CITY[a], CITY[b]) / LIGHT_KM_PER_MS
    assert light_ms < round_trip_ms()[a, b] < 8 * light_ms


def test_one_way_is_half_of_the_round_trip() -> None:
    assert one_way_ms("Korea Central", "Japan East") == 15.0
    assert one_way_ms("Japan East", "Japan East") == SAME_REGION_RTT_MS / 2


def test_figures_cannot_be_changed_by_accident() -> None:
    with pytest.raises(TypeError):
        round_trip_ms()["East US", "UK South"] = 1.0  # type: ignore[index]


@pytest.mark.parametrize(
    ("from_region", "to_region", "parameter"),
    [("Atlantis", "UK South", "from_region"), ("UK South", "uksouth", "to_region")],
)
def test_unknown_region_is_named_with_the_choices(from_region: str, to_region: str, parameter: str) -> None:
    with pytest.raises(ValueError, match=rf"{parameter}: no region is named .*choose one of East US, "):
        one_way_ms(from_region, to_region)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "first line must be from_region,to_region,rtt_ms"),
        ("a,b\n", "first line must be"),
        ("from_region,to_region,rtt_ms\nEast US,UK South\n", "line 2: expected 3 fields, found 2"),
        ("from_region,to_region,rtt_ms\nEast US,UK South,fast\n", "line 2: rtt_ms must be a positive number"),
        ("from_region,to_region,rtt_ms\nEast US,UK South,-3\n", "positive number of milliseconds, not '-3'"),
        ("from_region,to_region,rtt_ms\nEast US,UK South,nan\n", "positive number"),
        ("from_region,to_region,rtt_ms\nEast US,UK South,78\n", "no line for East US to Central US .305 pairs"),
    ],
)
def test_malformed_file_names_the_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "region_rtt.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        regions._read(path)
