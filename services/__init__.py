"""The domain services, a folder each; none knows another's code."""
