"""Places around which tracks are shown to nobody else: kept here, kept to in training."""
