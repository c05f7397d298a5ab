import subprocess
import sys


def run(code: str) -> str:
    script = f"import logging; from covey.io import logs; logs.configure('agent', 'info'); {code}"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60).stderr


def test_every_line_names_its_process() -> None:
    line = run("logging.getLogger('a.b').info('hello')")
    assert line.endswith("Z agent   INFO    a.b: hello\n")
    assert run("logging.debug('quiet')") == ""


def test_the_error_that_ends_a_process_names_it_too() -> None:
    text = run("1/0")
    assert "agent   CRITICAL" in text.splitlines()[0]
    assert "ZeroDivisionError" in text
