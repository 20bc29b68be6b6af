"""The Celery side: the application, the asyncio pool and the tasks."""
