"""`python -m moescope`: the command."""

from moescope.command import main

main()
