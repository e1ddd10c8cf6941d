"""What people come for: estimators that take the user's data and give answers."""
