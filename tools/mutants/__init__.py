"""Mutation testing: small faults planted in modules one at a time, each of which a test must notice."""
