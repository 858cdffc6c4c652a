"""What several files of tests share: particle sets, files written by hand, images with a formula, running a command.

pytest has ``tests`` on its path (pyproject.toml), so a test says ``from helpers.align import phantom_set``. Fixtures
are not here but in the conftest.py of the folder that uses them.
"""
