"""The watch companion: recordings and sensors -> the streaming RPC, with nothing lost."""
