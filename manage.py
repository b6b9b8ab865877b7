#!/usr/bin/env python
"""Run a management command, e.g. `manage.py up` or `manage.py adapter_token`."""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hitl.settings")
    execute_from_command_line(sys.argv)
