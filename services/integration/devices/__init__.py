"""The watches and sensors that a person uses."""
