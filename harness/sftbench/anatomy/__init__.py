"""What two selections have in common, and in what they differ."""
