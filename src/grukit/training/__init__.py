"""Training: one loop for every task, checkpoints that resume bit for bit, losses, schedules."""
