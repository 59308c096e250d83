"""The tracker's pure rules: `sessions` decides the answer, `live` is what a watcher sees."""
