"""Notifications by e-mail: one mail of plain text for each, by SMTP."""
