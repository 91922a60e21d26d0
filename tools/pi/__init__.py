"""Emulated Raspberry Pi systems in folders, for tests."""
