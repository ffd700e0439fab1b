"""Notifications by webhook: one signed POST of JSON over HTTPS for each."""
