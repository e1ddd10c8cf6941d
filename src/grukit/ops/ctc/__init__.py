"""Searching the outputs of connectionist temporal classification for what was said."""
