"""Data on its way to a model: frames, calendars, synthetic series."""
