"""The activities' pure rules; import the module that you need.

`summary` joins what `track`, `distance`, `moving`, `elevation`, `efforts` and `laps`
compute; `streams` thins samples for drawing; `filtering` reads a list's filter and
order; `changes` decides updates and deletions.
"""
