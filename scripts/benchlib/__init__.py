"""The benchmark rooms: data with known truth, judges, peers and tables, all independent of the code they judge."""
