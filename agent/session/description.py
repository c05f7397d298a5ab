"""What a node says of itself."""

from covey.model.node_config import NodeConfig
from covey.model.objects import NodeDescription, NodeNetworking
from covey.model.specs import Platform, Resources

NANO = 10**9
NOT_TRIED = NodeNetworking()


def describe(
    config: NodeConfig,
    hostname: str,
    architecture: str,
    cpus: int,
    memory_bytes: int,
    version: str,
    networking: NodeNetworking = NOT_TRIED,
) -> NodeDescription:
    """The description: what was found on the host, unless the settings say otherwise."""
    return NodeDescription(
        hostname=config.node_name or hostname,
        platform=Platform(os="linux", architecture=architecture),
        resources=Resources(
            nano_cpus=config.nano_cpus or cpus * NANO,
            memory_bytes=config.memory_bytes or memory_bytes,
            generic=config.generic_resources,
        ),
        engine_version=version,
        engine_labels=config.engine_labels,
        data_address=config.data_address or config.advertise_address,
        networking=networking,
    )
