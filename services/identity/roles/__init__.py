"""What people may beyond their own things: granted with an end, by whom and why."""
