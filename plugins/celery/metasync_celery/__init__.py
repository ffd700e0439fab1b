"""Dispatch by Celery: a message nudges a worker, the database says what is to be done."""
