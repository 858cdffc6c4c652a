"""What scripts/torture does to cryoalign: one module for each kind of harm."""
