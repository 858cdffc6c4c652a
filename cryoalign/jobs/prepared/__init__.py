"""What `rid-distance` and `classavg` share: particles made comparable, and graphs of their neighbours."""
