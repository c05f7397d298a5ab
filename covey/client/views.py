"""Answers of the API that are no model object."""

from covey.model.objects import Endpoint, Network, Part, Revision, Service, Task


class ServiceDetail(Part, frozen=True):
    """A service with its current revision, and what its tasks amount to."""

    service: Service = Service()
    revision: Revision = Revision()
    running: int = 0
    desired: int = 0
    completed: int = 0


class Progress(Part, frozen=True):
    """A service and all its tasks at one moment."""

    detail: ServiceDetail = ServiceDetail()
    tasks: tuple[Task, ...] = ()


class NetworkDetail(Part, frozen=True):
    """A network and everything on it."""

    network: Network = Network()
    endpoints: tuple[Endpoint, ...] = ()


class LogLine(Part, frozen=True):
    """One line a container wrote, without its newline."""

    task_id: str
    node_id: str
    at_ns: int
    stderr: bool
    data: bytes


class LogOptions(Part, frozen=True):
    """What to read: `tail` records per task (-1 means all), from `since_ns` (UTC) on, and then `follow`."""

    follow: bool = False
    tail: int = -1
    since_ns: int = 0
    no_stdout: bool = False
    no_stderr: bool = False
