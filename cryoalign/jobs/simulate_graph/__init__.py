"""``simulate-graph``: from options to a graph whose truth is known."""
