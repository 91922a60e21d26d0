"""Findings -> one HTML file that needs nothing else: to read, to send, to print."""
