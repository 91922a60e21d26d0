"""Measure and deploy models on other devices over ssh."""
