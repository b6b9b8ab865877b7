"""Sweeps of due timers for the bench: one for each line on standard input, told as `acted seconds`."""

import sys
import time

import django

django.setup()

from tasks_app import timers  # noqa: E402  (needs the settings)

SWEPT = 150  # a part of what is due, so that something is left for every round

for _line in sys.stdin:
    began = time.perf_counter()
    acted = timers.sweep(SWEPT)
    print(acted, time.perf_counter() - began, flush=True)
