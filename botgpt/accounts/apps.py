"""The accounts app: users and API keys."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Registers the app as `accounts`."""

    name = "botgpt.accounts"
    label = "accounts"
