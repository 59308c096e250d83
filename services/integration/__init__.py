"""What people train with: their devices, and the line between a watch and training."""
