"""The samples of sessions and activities: their columns, stored forms and reading."""
