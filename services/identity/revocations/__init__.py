"""What is no longer believed, told to every service within seconds."""
