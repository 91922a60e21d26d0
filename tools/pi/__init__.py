"""Emulated Raspberry Pi systems for tests. The files of each system are in a folder, which `chroot` makes the root."""
