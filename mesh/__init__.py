"""What the services stand on: the contract's policies, the runtime, the mesh itself."""
