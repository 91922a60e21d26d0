"""Measure and deploy models on other devices over ssh.

The modules in `on_device` are sent to a device and run there before the program is installed; `measure.py` runs there
afterwards, from the installed program. All other modules run on this machine.
"""
