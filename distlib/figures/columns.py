"""Whether a data frame has what a figure draws."""

from __future__ import annotations

import pandas as pd


def check_columns(table: pd.DataFrame, *columns: str, name: str = "the table", may_be_empty: bool = False) -> None:
    """``ValueError`` that names the first of ``columns`` that ``table`` lacks, or says that it has no rows."""
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise ValueError(f"{name} has no column {missing[0]!r}; it has {', '.join(map(str, table.columns))}")
    if table.empty and not may_be_empty:
        raise ValueError(f"{name} is empty; there is nothing to draw")
