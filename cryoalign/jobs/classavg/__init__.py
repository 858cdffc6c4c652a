"""``classavg``: class averages of single particles, and RELION's files about them."""
