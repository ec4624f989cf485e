"""The ASGI application that gunicorn serves."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "botgpt.settings")

application = get_asgi_application()
