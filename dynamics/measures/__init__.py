"""Measures: pure functions of params and tokens; per-item numbers in nats."""
