"""Mutation testing: small faults are inserted into modules of poets_edge, one at a time.

A test must detect each fault.
"""
