"""The commands of `dlr`, by what a user wants; cli.py makes one command of them."""
