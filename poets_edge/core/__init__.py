"""Files, processes, parallel work, downloads and checked JSON; nothing about photos or models."""
