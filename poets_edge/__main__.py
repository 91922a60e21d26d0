"""Entry point of `python -m poets_edge`, which runs the command line interface."""

from poets_edge.cli import main

main()
