"""Pictures and one-file HTML reports."""
