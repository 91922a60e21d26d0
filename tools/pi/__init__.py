"""Emulated Raspberry Pi systems for tests, each in a root folder."""
