"""`covey service create` and `covey service update`."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from click import echo
from msgspec.structs import replace

from covey import limits
from covey.client.cluster import ClusterClient, connect
from covey.client.host import Host
from covey.client.views import ServiceDetail
from covey.errors import InvalidArgument, NotFound
from covey.model.specs import RegistryAuth, ServiceSpec
from covey.model.states import ServiceModeKind, UpdateState

from ..app import anew_on_conflict, as_usage, run, warn
from ..habits import swallowed
from ..options import Named, Parsed, detach, example, given
from ..parse import environment, others
from ..service_options import creating, flattened, updating
from ..show.converge import Asked
from ..spec.change import changed, created
from .converging import Waited, wait_for
from .history import roll_back
from .planning import plan_option, tell_plan

IMAGE = Parsed("image", others.image)
LEFT_TO_US = (
    "detach",
    "quiet",
    "env_file",
    "no_resolve_image",
    "with_registry_auth",
    "planned",
    "force",
    "rollback",
)
ALONGSIDE_ROLLBACK = ("rollback", "planned", "detach", "quiet")


@click.command(
    context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False},
    epilog=example(
        "covey service create --name web --replicas 3 -p 8080:80 nginx:1.27",
        "covey service create --name db --mount source=data,target=/data --constraint node.labels.disk==ssd db:1",
        "covey service create --name sums --mode replicated-job --replicas 10 --max-concurrent 2 alpine:3 sh -c 'echo 2'",
        "covey service create --plan --name web --replicas 30 nginx:1.27",
    ),
)
@click.argument("image", type=IMAGE)
@click.argument("args", nargs=-1, type=click.UNPROCESSED, metavar="[COMMAND] [ARG]...")
@click.option("--name", help="The service's name, which is also its DNS name. [default: from the image]")
@click.option(
    "--mode",
    type=Named(ServiceModeKind),
    help="A number of tasks, or one on every node; a job's tasks are meant to end. [default: replicated]",
)
@click.option(
    "--env-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="A file of environment variables, one a line.",
)
@creating
@plan_option
@detach
@click.pass_obj
def create(host: Host, /, **options: Any) -> None:
    """Create a service: tasks that run IMAGE, kept running, found by name.

    ARGs replace the image's command. A job's tasks run to their end instead, and the command waits for that.
    """
    chosen = flattened(given(options))
    if (late := swallowed(create, options["args"])) is not None:
        warn([f"{late} stands behind the image, so it goes to the container; ours stand before the image"])
    chosen["env"] = (*_from_files(chosen.get("env_file", ())), *chosen.get("env", ()))
    chosen.setdefault("name", default_name(chosen["image"]))
    if options["with_registry_auth"]:
        chosen["registry_auth"] = as_usage(lambda: _credentials(chosen["image"]))
    spec = as_usage(lambda: created(_meant(chosen)))

    async def plan() -> None:
        async with connect(host) as cluster:
            await tell_plan(cluster, spec, resolve=not options["no_resolve_image"])

    if options["planned"]:
        run(plan)
        return

    async def work() -> str:
        async with connect(host) as cluster:
            service_id, warnings = await cluster.create_service(spec, not options["no_resolve_image"])
        warn(warnings)
        echo(service_id)
        return service_id

    service_id = run(work)
    if not options["detach"]:
        # Whatever somebody asks of the service meanwhile, every task there is is one that was asked for.
        wait_for(host, [Waited(service_id, spec.name)], options["quiet"])


@click.command(
    epilog=example(
        "covey service update --image nginx:1.28 --update-parallelism 2 web",
        "covey service update --env-add LEVEL=debug --publish-rm 80 --publish-add 9090:80 web",
        "covey service update --plan --replicas 5 --limit-memory 256m web",
        "covey service update --force web",
    )
)
@click.argument("service", metavar="SERVICE")
@click.option("--image", type=IMAGE, help="The new image.")
@click.option("--args", type=Parsed("command", others.command), help="The new arguments, as one text.")
@click.option("--force", is_flag=True, default=None, help="Replace all tasks even if nothing changed.")
@click.option(
    "--rollback", is_flag=True, default=None, help="Go back to the previous revision; as service rollback."
)
@updating
@plan_option
@detach
@click.pass_obj
def update(host: Host, /, service: str, **options: Any) -> None:
    """Change a service; tasks are replaced a few at a time if the change calls for it.

    An update that is paused goes on if nothing is changed. A job is run again by any change, or --force.
    """
    chosen = flattened(given(options))
    chosen.update({name: () for name in ("args", "entrypoint") if options[name] == ()})  # back to the image's
    if options["rollback"]:
        _check_alone(chosen, options)
        roll_back(
            host, service, 0, planned=options["planned"], quiet=options["quiet"], detach=options["detach"]
        )
        return

    async def plan() -> None:
        async with connect(host) as cluster:

            async def ask() -> None:
                before = await cluster.get_service(service)
                new = await _changed(cluster, before, chosen)
                await tell_plan(cluster, new, before, resolve=_resolves(chosen), force="force" in chosen)

            await anew_on_conflict(ask)

    async def work() -> Waited:
        async with connect(host) as cluster:
            return await anew_on_conflict(lambda: _update(cluster, service, chosen))

    if options["planned"]:
        run(plan)
        return
    waited = run(work)
    if not options["detach"]:
        wait_for(host, [waited], options["quiet"])


def _check_alone(chosen: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Refuse other flags beside `--rollback`: what comes back is a revision as it was."""
    other = next((name for name in chosen if options[name] and name not in ALONGSIDE_ROLLBACK), None)
    if other is not None:
        flag = other.replace("_", "-")
        raise click.UsageError(f"--rollback and --{flag}: roll back first, or change what you want by hand")


async def _update(cluster: ClusterClient, service: str, chosen: dict[str, Any]) -> Waited:
    before = await cluster.get_service(service)
    new, force = await _changed(cluster, before, chosen), "force" in chosen
    version = before.service.meta.version
    warn(await cluster.update_service(before.service.id, version, new, _resolves(chosen), force=force))
    after = await cluster.get_service(before.service.id)
    echo(service)
    if after.revision.number == before.revision.number:
        return _unchanged(before)
    restarts = after.revision.restart_generation != before.revision.restart_generation
    asked = Asked.UPDATE if restarts else Asked.TASKS
    return Waited(before.service.id, before.service.name, asked)


def _unchanged(before: ServiceDetail) -> Waited:
    """Say that nothing changed, and what follows from that."""
    name = before.service.name
    match before.service.update_status.state:
        case UpdateState.PAUSED:
            echo(f"Nothing was changed, so the paused update of {name} goes on.", err=True)
            return Waited(before.service.id, name, Asked.UPDATE)
        case UpdateState.ROLLBACK_PAUSED:
            echo(f"Nothing was changed, so the paused rollback of {name} goes on.", err=True)
            return Waited(before.service.id, name, Asked.ROLLBACK)
        case _:
            again = f"`covey service update --force {name}` replaces its tasks all the same"
            echo(f"Nothing was changed: {name} has these settings already; {again}.", err=True)
            return Waited(before.service.id, name)


def _resolves(chosen: Mapping[str, Any]) -> bool:
    return "image" in chosen and not chosen.get("no_resolve_image")


async def _changed(cluster: ClusterClient, before: ServiceDetail, chosen: dict[str, Any]) -> ServiceSpec:
    """Return a service's spec with the options applied that were given; networks are known by id."""
    spec = before.revision.spec
    wanted = dict(chosen)
    if "network_rm" in wanted:
        wanted["network_rm"] = [await _attached(cluster, spec, name) for name in wanted["network_rm"]]
    if "network_add" in wanted:
        wanted["network_add"] = [
            replace(added, target=(await cluster.get_network(added.target)).network.id)
            for added in wanted["network_add"]
        ]
    if wanted.get("with_registry_auth"):
        image = wanted.get("image", spec.task.container.image)
        wanted["registry_auth"] = as_usage(lambda: _credentials(image))
    return as_usage(lambda: changed(spec, _meant(wanted)))


def default_name(image: str) -> str:
    """Return a service name made of the image's last part; `--name` says it better."""
    last = image.partition("@")[0].rpartition("/")[2].partition(":")[0]
    return last.replace(".", "-")[: limits.name_length_chars_max]


def _meant(chosen: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in chosen.items() if name not in LEFT_TO_US}


def _from_files(paths: tuple[Path, ...]) -> list[str]:
    found = []
    for path in paths:
        if path.stat().st_size > limits.env_file_bytes_max:
            raise click.UsageError(f"{path} has over {limits.env_file_bytes_max} bytes: is it an --env-file?")
        try:
            content = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise click.UsageError(f"{path} cannot be read as text: {error}") from error
        found += as_usage(lambda text=content, name=path: environment.env_file(text, str(name), os.environ))  # type: ignore[misc]
    return found


def _credentials(image: str) -> RegistryAuth:
    """Find a login for the image's registry where `skopeo login`, podman and Docker keep theirs."""
    refusal = None
    looked = others.login_files(os.environ, Path.home(), os.getuid())
    for path in looked:
        try:
            config = path.read_bytes()
        except OSError:
            continue
        try:
            return others.credentials(config, str(path), image)
        except InvalidArgument as error:
            refusal = refusal or error
    raise refusal or InvalidArgument(
        f"--with-registry-auth: there is no login in {', '.join(map(str, looked))}; log in to the registry first "
        "(skopeo login REGISTRY)"
    )


async def _attached(cluster: ClusterClient, spec: ServiceSpec, name: str) -> str:
    """Return the id of a network the service is on, given its name or id."""
    if any(attachment.target == name for attachment in spec.task.networks):
        return name
    network_id = (await cluster.get_network(name)).network.id
    if not any(attachment.target == network_id for attachment in spec.task.networks):
        raise NotFound(f"--network-rm {name}: the service is not on this network")
    return network_id
