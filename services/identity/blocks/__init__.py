"""Who may not come in: by whom, why, until when."""
