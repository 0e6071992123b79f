"""`python -m dispatcher` is `dlr`."""

from dispatcher.cli import main

main()
