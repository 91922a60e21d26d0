"""Measurement and deployment on other devices over ssh."""
