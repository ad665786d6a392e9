"""Measured round-trip times between the regions of a public cloud, in milliseconds: Microsoft's published medians for
Azure (30 days ending on 30 July 2026, CC BY 4.0), in ``data/region_rtt.csv``; see ``data/README.md``."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from distlib.core.data import data_file

SAME_REGION_RTT_MS = 2.0
"""Assumed round trip between two servers of one region, which the source leaves out: the upper end of what Azure says
of a region's zones, less than about 2 ms."""

COLUMNS = ["from_region", "to_region", "rtt_ms"]


class Region(NamedTuple):
    """Where a region is, for people who do not know the cloud's names."""

    place: str
    continent: str


REGIONS: Mapping[str, Region] = MappingProxyType(
    {
        "East US": Region("Virginia", "North America"),
        "Central US": Region("Iowa", "North America"),
        "West US 2": Region("Washington", "North America"),
        "Canada Central": Region("Toronto", "North America"),
        "Mexico Central": Region("Querétaro", "North America"),
        "Brazil South": Region("São Paulo", "South America"),
        "UK South": Region("London", "Europe"),
        "West Europe": Region("Netherlands", "Europe"),
        "Germany West Central": Region("Frankfurt", "Europe"),
        "Sweden Central": Region("Gävle", "Europe"),
        "South Africa North": Region("Johannesburg", "Africa"),
        "UAE North": Region("Dubai", "Asia"),
        "Central India": Region("Pune", "Asia"),
        "Southeast Asia": Region("Singapore", "Asia"),
        "East Asia": Region("Hong Kong", "Asia"),
        "Japan East": Region("Tokyo", "Asia"),
        "Korea Central": Region("Seoul", "Asia"),
        "Australia East": Region("Sydney", "Oceania"),
    }
)
"""The regions with published figures here, by name, grouped by continent."""


@cache
def round_trip_ms() -> Mapping[tuple[str, str], float]:
    """Published median round-trip times, ms, by (from region, to region), each direction measured by itself. Pairs of a
    region with itself are not published and not here; ``one_way_ms`` adds an assumption for them. Raises
    ``FileNotFoundError`` when ``data/region_rtt.csv`` is missing, ``ValueError`` when a line is malformed."""
    return MappingProxyType(_read(data_file("region_rtt.csv")))


def one_way_ms(from_region: str, to_region: str) -> float:
    """Assumed one-way latency between two regions, ms: half of the measured round trip, or of ``SAME_REGION_RTT_MS``.
    That both halves take equally long is an assumption, and an untestable one without synchronised clocks. Raises
    ``ValueError`` for a region that is not in ``REGIONS``."""
    for name, region in (("from_region", from_region), ("to_region", to_region)):
        if region not in REGIONS:
            raise ValueError(f"{name}: no region is named {region!r}; choose one of {', '.join(REGIONS)}")
    if from_region == to_region:
        return SAME_REGION_RTT_MS / 2
    return round_trip_ms()[from_region, to_region] / 2


def _read(path: Path) -> dict[tuple[str, str], float]:
    """The directed pairs of a tidy CSV file; every pair of ``REGIONS`` must be there."""
    times: dict[tuple[str, str], float] = {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        if (header := next(rows, None)) != COLUMNS:
            raise ValueError(f"{path}: the first line must be {','.join(COLUMNS)}, not {header}")
        for row in rows:
            where = f"{path}, line {rows.line_num}"
            if len(row) != len(COLUMNS):
                raise ValueError(f"{where}: expected {len(COLUMNS)} fields, found {len(row)}")
            from_region, to_region, text = row
            try:
                times[from_region, to_region] = rtt_ms = float(text)
            except ValueError:
                rtt_ms = math.nan
            if not 0 < rtt_ms < math.inf:
                raise ValueError(f"{where}: rtt_ms must be a positive number of milliseconds, not {text!r}")
    missing = [(a, b) for a in REGIONS for b in REGIONS if a != b and (a, b) not in times]
    if missing:
        raise ValueError(f"{path}: no line for {missing[0][0]} to {missing[0][1]} ({len(missing)} pairs missing)")
    return times
