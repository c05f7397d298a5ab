"""`covey system`: seeing whether the cluster is what it should be."""

import click
from click import echo

from covey.client.agent import audit_node
from covey.client.cluster import connect
from covey.client.host import Host
from covey.client.views import ClusterAudit

from ..app import run
from ..habits import Family
from ..options import example, output_format
from ..show.audit import audit_text, is_clean, is_complete
from ..show.jsonable import json_array

CLEAN, AMISS, NOT_EVERYBODY = 0, 1, 2


@click.group(cls=Family)
def system() -> None:
    """See whether the cluster is what it should be."""


@system.command(
    epilog=example(
        "covey system audit", "covey system audit --repair --node node2", "covey system audit --local"
    )
)
@click.option("--repair", is_flag=True, help="Have nodes put right what they may, and look again.")
@click.option("--node", "nodes", multiple=True, metavar="NODE", help="Ask this node alone. [default: all]")
@click.option("--local", is_flag=True, help="Ask this host's own node, as root; no manager need answer.")
@output_format
@click.pass_obj
def audit(host: Host, repair: bool, nodes: tuple[str, ...], local: bool, form: str) -> int:
    """Compare what should be with what is, on every node and with the managers.

    Networks, names, containers and what they left behind; addresses, ports and tables. Nothing that is not Covey's
    is looked at. `--repair` touches no task that has not ended; what the managers keep they put right by
    themselves. `--local` works while no manager answers.

    The exit code is 0 if nothing is amiss, 1 if something is, 2 if not everybody could be asked.
    """

    if local and nodes:
        raise click.UsageError(
            f"--local asks this host's own node alone: leave out --node {nodes[0]}, or --local on a manager"
        )

    async def work() -> ClusterAudit:
        if local:
            return ClusterAudit((await audit_node(host, repair=repair),), local=True)
        async with connect(host) as manager:
            return await manager.audit(nodes, repair=repair)

    told = run(work)
    echo(json_array([told]) if form == "json" else audit_text(told, repair=repair))
    if not is_clean(told):
        return AMISS
    return CLEAN if is_complete(told) else NOT_EVERYBODY
