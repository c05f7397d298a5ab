"""coveyd lives through what keeps a certificate from being renewed."""

import asyncio
import errno
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from covey import limits
from node.daemon import Daemon
from node.driver import Processes
from node.membership import Membership
from node.settings import Settings
from tests.support.pki import Authority


class OnFullDisk(Daemon):
    """A host whose disk has no room for the new certificate."""

    tries = 0

    async def renew(self) -> None:
        self.tries += 1
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_does_not_end_coveyd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "certificate_renewal_look_s", 0.001)
    monkeypatch.setattr(limits, "certificate_renewal_retry_ms_min", 1)

    async def main() -> None:
        settings = Settings(state_dir=str(tmp_path / "state"), run_dir=str(tmp_path / "run"))
        daemon = OnFullDisk(settings, Processes({}, {}), [], {}, Random(1))
        daemon.member = (Membership(), replace(Authority().node(), not_before_ns=0, not_after_ns=1))
        renewing = asyncio.create_task(daemon.keep_renewing())
        async with asyncio.timeout(30):
            while daemon.tries < 3 and not renewing.done():
                await asyncio.sleep(0.005)
        renewing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await renewing
        assert daemon.tries >= 3

    asyncio.run(main())
