"""`python -m p11conform`."""

from .cli import main

main()
