"""Mutation testing: small faults are inserted into modules one at a time, and a test must detect each fault."""
