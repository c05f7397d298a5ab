"""The command lines of skopeo and containers-storage. Credentials never appear in one."""

from collections.abc import Sequence

from msgspec import Struct

from covey.model.reference import Reference

_OPTION = "overlay.skip_mount_home=true"


class Store(Struct, frozen=True, gc=False):
    """One store on disk: `root` keeps images, `run` what ends with a reboot."""

    root: str
    run: str

    def storage(self, program: str, *arguments: str) -> list[str]:
        """A containers-storage command on this store."""
        place = [
            "--graph",
            self.root,
            "--run",
            self.run,
            "--storage-driver",
            "overlay",
            "--storage-opt",
            _OPTION,
        ]
        return [program, *place, *arguments]

    def pull(
        self, skopeo: str, reference: Reference, *, insecure: bool, policy: str, credentials: Sequence[str]
    ) -> list[str]:
        """The copy from the registry into this store, under the name `reference.pull_name`."""
        argv = [skopeo]
        if policy:
            argv += ["--policy", policy]
        argv += [
            "copy",
            "--quiet",
            "--retry-times",
            "1",
            f"--src-tls-verify={'false' if insecure else 'true'}",
        ]
        argv += [option.replace("--authfile", "--src-authfile") for option in credentials]
        place = f"containers-storage:[overlay@{self.root}+{self.run}:{_OPTION}]{reference.pull_name}"
        return [*argv, f"docker://{reference.pull_name}", place]
