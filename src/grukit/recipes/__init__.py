"""Whole jobs, put together from tasks, data and evaluation."""
