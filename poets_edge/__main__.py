"""`python -m poets_edge`."""

from poets_edge.cli import main

main()
