"""covey/v1 is what the protos say: generate anew and compare."""

import filecmp
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_generated_code_has_not_drifted(tmp_path: Path) -> None:
    protos = sorted((ROOT / "proto").rglob("*.proto"))
    assert protos
    outputs = [f"--{kind}_out={tmp_path}" for kind in ("python", "pyi")]
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT / 'proto'}", *outputs, *map(str, protos)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr

    fresh = {path.relative_to(tmp_path) for path in tmp_path.rglob("*.py*") if path.is_file()}
    kept = {
        path.relative_to(ROOT) for path in (ROOT / "covey" / "v1").glob("*.py*") if path.name != "__init__.py"
    }
    assert fresh == kept, "run `make proto`"
    differing = [
        str(name) for name in sorted(fresh) if not filecmp.cmp(tmp_path / name, ROOT / name, shallow=False)
    ]
    assert not differing, "run `make proto`"
