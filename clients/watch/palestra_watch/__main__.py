"""`python -m palestra_watch`."""

from palestra_watch.cli import app

app(prog_name="palestra watch")
