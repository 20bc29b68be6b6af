"""The Celery beat side: the grid of polls and the scheduler that publishes them."""
