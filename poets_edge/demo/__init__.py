"""Demonstrations: drawn photos, the codelab's scripts, and the quickstart."""
