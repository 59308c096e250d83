"""What the mesh measures, and under which names."""
