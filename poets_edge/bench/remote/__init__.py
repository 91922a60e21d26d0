"""Measure and deploy models on other devices over ssh. The modules in `on_device` run there, all others here.

`measure.py` and `messages.py` are also imported on the device, from the installed program.
"""
