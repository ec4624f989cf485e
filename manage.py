#!/usr/bin/env python
"""Runs the product's commands; `manage.py help` lists them."""

import os
import sys

from botgpt import command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "botgpt.settings")
    sys.exit(command_line.main(sys.argv))
