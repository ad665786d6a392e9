"""Grade: a checker's answer to an exercise, in words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Grade:
    """Whether the answer passes, and remarks that say why, or what to look at again."""

    passed: bool
    remarks: tuple[str, ...]

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        head = "✓ Passed." if self.passed else "✗ Not yet."
        return "\n".join([head, *(f"  · {remark}" for remark in self.remarks)])

    __repr__ = __str__
