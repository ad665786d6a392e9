"""The chapters of the course, in the article's order: the one list of them."""

from __future__ import annotations

from typing import NamedTuple


class Chapter(NamedTuple):
    """A chapter: its notebook, its title, the article's heading, its column on the map, and what it builds on."""

    name: str
    title: str
    heading: str
    column: int
    after: tuple[str, ...] = ()

    @property
    def number(self) -> str:
        """``3.1`` for ``03_1_raft``."""
        return ".".join(str(int(part)) for part in self.name.split("_") if part.isdigit())


CHAPTERS = (
    Chapter("01_background", "Background", "背景介绍", 0),
    Chapter("02_core_concepts", "Core concepts", "核心概念与联系", 0, ("01_background",)),
    Chapter("03_1_paxos", "Paxos", "Paxos算法", 1, ("02_core_concepts",)),
    Chapter("03_1_raft", "Raft", "Paxos和Raft算法", 1, ("02_core_concepts",)),
    Chapter("03_1_raft_in_depth", "Raft in depth", "Paxos和Raft算法", 1, ("03_1_raft",)),
    Chapter("03_2_transactions", "Transactions", "两阶段提交与柔性事务", 1, ("02_core_concepts", "03_1_paxos")),
    Chapter("03_2_transactions_flexible", "Flexible transactions", "柔性事务", 1, ("03_2_transactions",)),
    Chapter("03_3_load_balancing", "Load balancing", "负载均衡：随机分发和轮询", 1, ("02_core_concepts",)),
    Chapter(
        "03_3_load_balancing_in_practice", "Load balancing in practice", "负载均衡：随机分发和轮询", 1,
        ("03_3_load_balancing",),
    ),
    Chapter("03_4_fault_tolerance", "Fault tolerance", "重试、超时、熔断", 1, ("02_core_concepts",)),
    Chapter("03_5_principles", "Why it is safe", "核心算法原理和公式详细讲解", 2, ("03_1_paxos", "03_1_raft")),
    Chapter(
        "03_6_formulas", "Formulas", "核心算法原理和公式详细讲解", 2, ("03_3_load_balancing", "03_4_fault_tolerance")
    ),
    Chapter("03_6_formulas_of_choice", "Formulas of choice", "负载均衡公式", 2, ("03_6_formulas",)),
    Chapter("04_code_examples", "Code examples", "代码实例", 2, ("03_2_transactions",)),
    Chapter(
        "05_serverless_and_future", "Serverless and the future", "无服务架构与未来", 3,
        ("03_6_formulas", "03_5_principles"),
    ),
    Chapter("06_faq", "Questions", "常见问题", 3, ("05_serverless_and_future",)),
)  # fmt: skip
