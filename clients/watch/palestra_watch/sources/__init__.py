"""Where samples come from: recorded files, a synthetic athlete."""
