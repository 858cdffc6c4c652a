"""cryoalign: in-plane alignment, grouping and averaging of cryo-EM particle stacks."""

__version__ = "0.1.0"
