"""Simulated A/B tests with a known truth: users of the generated industrial logs return, and each arm ranks for them."""
