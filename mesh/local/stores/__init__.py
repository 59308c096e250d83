"""The embedded stores: one module per program, each giving its `spec.Spec`."""
