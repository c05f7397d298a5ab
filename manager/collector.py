"""Keeps Python's search for garbage from holding up a manager.

Objects that refer to each other in a circle are found by looking at all objects there are, now and then: with
100,000 tasks in the store that takes half a second, as long as followers wait for a leader. So whenever a search took
too long, what has survived it is set aside (`gc.freeze`) and not looked at again. It is freed all the same once nothing
refers to it; only circles among what was old by then stay, and the manager makes hardly any.
"""

import gc
import time
from collections.abc import Callable
from typing import Any

from covey import limits


def spare_the_old() -> Callable[[], None]:
    """Have long searches set aside what they found alive; returns what undoes that."""
    began = time.perf_counter()

    def watch(phase: str, info: dict[str, Any]) -> None:
        nonlocal began
        if phase == "start":
            began = time.perf_counter()
        elif (time.perf_counter() - began) * 1000 > limits.garbage_search_ms:
            gc.freeze()

    gc.callbacks.append(watch)

    def undo() -> None:
        gc.callbacks.remove(watch)
        gc.unfreeze()

    return undo
