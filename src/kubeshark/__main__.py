"""`python -m kubeshark` is the command `kubeshark`."""

from kubeshark.cli import command

command()
