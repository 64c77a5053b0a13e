"""The tests calculate as the server does: each framework with one thread, which is set before any is imported.

For models as small as the tests', more threads wait for each other: fitting a logistic regression takes five times the
processor's time.
"""

import os

from server.runtime.cpu import ONE_THREAD

for _variable, _value in ONE_THREAD.items():
    os.environ.setdefault(_variable, _value)
