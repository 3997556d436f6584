"""What the generators of logs share: users with planted interests, and the text of their logs."""
