"""Simulated A/B tests with a known truth: users of the generated industrial logs return, arms rank for them."""
