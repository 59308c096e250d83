"""Envoy's resources, one module per kind. Pure: values in, messages out."""
