"""Django is set up here: the processes that store documents start with an import of this."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "botgpt.settings")
django.setup()
