"""Our policies beside the well-kept libraries that readers should use at work, with equal settings.

Where a row names a Python library, a test runs both on the same failures and compares every decision
(``tests/resilience/test_compared.py``). Rows for the JVM compare documented semantics.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import pandas as pd


@dataclass(frozen=True)
class Row:
    """One policy: ours, a library's, and how they differ with equal settings (empty: not at all)."""

    policy: str
    ours: str
    library: str
    theirs: str
    differs: str = ""
    tested: bool = False


ROWS = (
    Row("stop after attempts", "Retry(attempts=3)", "tenacity", "stop_after_attempt(3)", tested=True),
    Row("deadline", "Retry(attempts=100, deadline_s=5)", "tenacity", "stop_after_attempt(100) | stop_before_delay(5)",
        "ours also bounds an attempt under way, with a timeout, a hedge or acall", tested=True),
    Row("exponential backoff", 'Backoff("exponential", 0.1, 10)', "tenacity",
        "wait_exponential(multiplier=0.1, max=10)", tested=True),
    Row("full jitter", 'Backoff("full", 0.1, 10)', "tenacity", "wait_random_exponential(multiplier=0.1, max=10)",
        tested=True),
    Row("constant backoff", 'Backoff("constant", 0.1)', "tenacity", "wait_fixed(0.1)", tested=True),
    Row("exponential backoff", 'Backoff("exponential", 0.1, 5)', "stamina",
        "retry(wait_initial=0.1, wait_max=5, wait_jitter=0)",
        "by default stamina adds up to 1 s of jitter on top, and gives up after 45 s", tested=True),
    Row("deadline", "Retry(attempts=10, deadline_s=45)", "stamina", "retry(attempts=10, timeout=45)",
        "there the time counts when an attempt has failed: a wait, and the attempt after it, may pass the 45 s",
        tested=True),
    Row("constant backoff", 'Retry(attempts=3, backoff=Backoff("constant", 0.5))', "resilience4j",
        "RetryConfig.ofDefaults()"),
    Row("exponential backoff", 'Backoff("exponential", 0.5, 60, 1.5)', "resilience4j",
        "IntervalFunction.ofExponentialBackoff(500, 1.5, 60_000)", "whole milliseconds there"),
    Row("jitter", 'Backoff("equal", 0.5, 60, 1.5)', "resilience4j",
        "IntervalFunction.ofExponentialRandomBackoff(500, 1.5, 0.5, 60_000)",
        "there from half to one and a half of the exponential wait, ours from half to the whole"),
    Row("timeout", "Timeout(timeout_s=1)", "resilience4j", "TimeLimiterConfig.ofDefaults()",
        "around a future there, which it cancels; tenacity and stamina have no timeout of an attempt"),
    Row("hedged requests", 'Hedge("fixed", delay_s=0.5, most=3)', "gRPC",
        'service config "hedgingPolicy": {"maxAttempts": 4, "hedgingDelay": "0.5s"}',
        "there a failed attempt sends the next one at once"),
    Row("consecutive failures", 'CircuitBreaker(counting="consecutive failures", failures=5, probes=1)', "pybreaker",
        "CircuitBreaker(fail_max=5)", "the failure that opens it raises CircuitBreakerError there", tested=True),
    Row("failure rate", "CircuitBreaker()", "resilience4j", "CircuitBreakerConfig.ofDefaults()",
        "half-open, its code judges from min(minimum calls, permitted calls) results on; its documentation, "
        "and ours, when all permitted calls have ended"),
    Row("slow calls", "CircuitBreaker(slow_s=2, slow_rate=0.5)", "Sentinel",
        "DegradeRule, grade RT, slowRatioThreshold 0.5",
        "one probe half-open, windows of statIntervalMs"),
    Row("sliding window", 'RateLimit("sliding window", 10, 100)', "limits",
        "SlidingWindowCounterRateLimiter, 100 per 10 seconds", tested=True),
    Row("token bucket", 'RateLimit("token bucket", 10, 20)', "resilience4j", "RateLimiter, limitForPeriod",
        "there permits come all at once, every period"),
    Row("bulkhead", "Bulkhead(25)", "resilience4j", "BulkheadConfig.maxConcurrentCalls(25)",
        "callers may also wait there (maxWaitDuration)"),
    Row("retry budget", 'RetryBudget("gRPC", ratio=0.1, most_tokens=10)', "gRPC",
        'service config "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1}'),
    Row("retry budget", 'RetryBudget("Envoy", ratio=0.2, minimum=3)', "Envoy",
        "circuit_breakers.thresholds.retry_budget, budget_percent 20, min_retry_concurrency 3",
        "there requests that wait for a connection count as active, too"),
    Row("retry budget", 'RetryBudget("Finagle", ratio=0.2, minimum=10, window_s=10)', "Finagle",
        "RetryBudget(10.seconds, 10, 0.2)"),
    Row("outlier detection", "OutlierDetection()", "Envoy", "outlier_detection, consecutive_5xx",
        "no ejection by success rate; Envoy uses all hosts when fewer than half are left, ours when none is"),
)  # fmt: skip


def table() -> pd.DataFrame:
    """The rows as a table."""
    return pd.DataFrame([asdict(one) for one in ROWS])
