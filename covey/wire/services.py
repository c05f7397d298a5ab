"""Every RPC of the cluster, and the roles that may call it. A test holds this to the protos."""

from typing import Any

from covey.v1 import bootstrap_pb2, ca_pb2, control_pb2, dispatcher_pb2, logs_pb2, node_pb2, raft_pb2

from .service import Bidirectional, ClientStream, Method, Role, ServerStream, Unary, Where

OPERATORS = frozenset({Role.LOCAL, Role.MANAGER})
NODES = frozenset({Role.WORKER, Role.MANAGER})
MANAGERS = frozenset({Role.MANAGER})
LOCAL = frozenset({Role.LOCAL})
ANYONE = frozenset({Role.ANYONE})


class Control:
    """What people and tools ask of a cluster."""

    name = "covey.v1.Control"
    get_cluster = Unary(
        name,
        "GetCluster",
        control_pb2.GetClusterRequest,
        control_pb2.GetClusterResponse,
        OPERATORS,
        Where.READ,
    )
    update_cluster = Unary(
        name, "UpdateCluster", control_pb2.UpdateClusterRequest, control_pb2.UpdateClusterResponse, OPERATORS
    )
    get_join_token = Unary(
        name, "GetJoinToken", control_pb2.GetJoinTokenRequest, control_pb2.GetJoinTokenResponse, OPERATORS
    )
    get_cluster_status = Unary(
        name,
        "GetClusterStatus",
        control_pb2.GetClusterStatusRequest,
        control_pb2.GetClusterStatusResponse,
        OPERATORS | NODES,
        Where.ANYWHERE,
    )
    backup = ServerStream(
        name, "Backup", control_pb2.BackupRequest, control_pb2.BackupResponse, OPERATORS, Where.READ
    )
    list_nodes = ServerStream(
        name, "ListNodes", control_pb2.ListNodesRequest, control_pb2.ListNodesResponse, OPERATORS, Where.READ
    )
    get_node = Unary(
        name, "GetNode", control_pb2.GetNodeRequest, control_pb2.GetNodeResponse, OPERATORS, Where.READ
    )
    update_node = Unary(
        name, "UpdateNode", control_pb2.UpdateNodeRequest, control_pb2.UpdateNodeResponse, OPERATORS
    )
    remove_node = Unary(
        name, "RemoveNode", control_pb2.RemoveNodeRequest, control_pb2.RemoveNodeResponse, OPERATORS
    )
    create_service = Unary(
        name, "CreateService", control_pb2.CreateServiceRequest, control_pb2.CreateServiceResponse, OPERATORS
    )
    list_services = ServerStream(
        name,
        "ListServices",
        control_pb2.ListServicesRequest,
        control_pb2.ListServicesResponse,
        OPERATORS,
        Where.READ,
    )
    get_service = Unary(
        name,
        "GetService",
        control_pb2.GetServiceRequest,
        control_pb2.GetServiceResponse,
        OPERATORS,
        Where.READ,
    )
    update_service = Unary(
        name, "UpdateService", control_pb2.UpdateServiceRequest, control_pb2.UpdateServiceResponse, OPERATORS
    )
    remove_service = Unary(
        name, "RemoveService", control_pb2.RemoveServiceRequest, control_pb2.RemoveServiceResponse, OPERATORS
    )
    roll_back_service = Unary(
        name,
        "RollBackService",
        control_pb2.RollBackServiceRequest,
        control_pb2.RollBackServiceResponse,
        OPERATORS,
    )
    stop_service = Unary(
        name, "StopService", control_pb2.StopServiceRequest, control_pb2.StopServiceResponse, OPERATORS
    )
    start_service = Unary(
        name, "StartService", control_pb2.StartServiceRequest, control_pb2.StartServiceResponse, OPERATORS
    )
    plan_service = Unary(
        name,
        "PlanService",
        control_pb2.PlanServiceRequest,
        control_pb2.PlanServiceResponse,
        OPERATORS,
        Where.READ,
    )
    explain_service = Unary(
        name,
        "ExplainService",
        control_pb2.ExplainServiceRequest,
        control_pb2.ExplainServiceResponse,
        OPERATORS,
        Where.READ,
    )
    list_revisions = ServerStream(
        name,
        "ListRevisions",
        control_pb2.ListRevisionsRequest,
        control_pb2.ListRevisionsResponse,
        OPERATORS,
        Where.READ,
    )
    watch_service = ServerStream(
        name,
        "WatchService",
        control_pb2.WatchServiceRequest,
        control_pb2.WatchServiceResponse,
        OPERATORS,
        Where.READ,
    )
    list_tasks = ServerStream(
        name, "ListTasks", control_pb2.ListTasksRequest, control_pb2.ListTasksResponse, OPERATORS, Where.READ
    )
    create_network = Unary(
        name, "CreateNetwork", control_pb2.CreateNetworkRequest, control_pb2.CreateNetworkResponse, OPERATORS
    )
    list_networks = ServerStream(
        name,
        "ListNetworks",
        control_pb2.ListNetworksRequest,
        control_pb2.ListNetworksResponse,
        OPERATORS,
        Where.READ,
    )
    get_network = ServerStream(
        name,
        "GetNetwork",
        control_pb2.GetNetworkRequest,
        control_pb2.GetNetworkResponse,
        OPERATORS,
        Where.READ,
    )
    remove_network = Unary(
        name, "RemoveNetwork", control_pb2.RemoveNetworkRequest, control_pb2.RemoveNetworkResponse, OPERATORS
    )
    inspect_network = ServerStream(
        name,
        "InspectNetwork",
        control_pb2.InspectNetworkRequest,
        control_pb2.InspectNetworkResponse,
        OPERATORS,
    )
    audit_cluster = ServerStream(
        name, "AuditCluster", control_pb2.AuditClusterRequest, control_pb2.AuditClusterResponse, OPERATORS
    )


class Dispatcher:
    """How agents and managers talk."""

    name = "covey.v1.Dispatcher"
    session = Bidirectional(
        name, "Session", dispatcher_pb2.AgentMessage, dispatcher_pb2.ManagerMessage, NODES, Where.ANYWHERE
    )
    sign_off = Unary(name, "SignOff", dispatcher_pb2.SignOffRequest, dispatcher_pb2.SignOffResponse, NODES)


class Logs:
    """Reading the logs of tasks."""

    name = "covey.v1.Logs"
    read_logs = ServerStream(name, "ReadLogs", logs_pb2.ReadLogsRequest, logs_pb2.ReadLogsResponse, OPERATORS)


class LogBroker:
    """Agents handing over the logs of their tasks."""

    name = "covey.v1.LogBroker"
    publish_logs = ClientStream(
        name, "PublishLogs", logs_pb2.PublishLogsRequest, logs_pb2.PublishLogsResponse, NODES, Where.ANYWHERE
    )


class NodeCa:
    """Certificates for nodes that have one."""

    name = "covey.v1.NodeCa"
    renew_certificate = Unary(
        name, "RenewCertificate", ca_pb2.RenewCertificateRequest, ca_pb2.RenewCertificateResponse, NODES
    )


class StoreKeeping:
    """How managers get at the state, where they do not keep it themselves."""

    name = "covey.v1.StoreKeeping"
    get_store_access = Unary(
        name, "GetStoreAccess", ca_pb2.GetStoreAccessRequest, ca_pb2.GetStoreAccessResponse, MANAGERS
    )


class Raft:
    """Managers keeping one log between them."""

    name = "covey.v1.Raft"
    replicate = Bidirectional(
        name, "Replicate", raft_pb2.RaftFrame, raft_pb2.RaftFrame, MANAGERS, Where.ANYWHERE
    )
    send_snapshot = ClientStream(
        name, "SendSnapshot", raft_pb2.SnapshotPiece, raft_pb2.SendSnapshotResponse, MANAGERS, Where.ANYWHERE
    )
    join_raft = Unary(name, "JoinRaft", raft_pb2.JoinRaftRequest, raft_pb2.JoinRaftResponse, MANAGERS)


class Bootstrap:
    """Certificates for hosts that have none; its own port, rate-limited."""

    name = "covey.v1.Bootstrap"
    get_root_certificate = Unary(
        name,
        "GetRootCertificate",
        bootstrap_pb2.GetRootCertificateRequest,
        bootstrap_pb2.GetRootCertificateResponse,
        ANYONE,
        Where.ANYWHERE,
    )
    issue_node_certificate = Unary(
        name,
        "IssueNodeCertificate",
        bootstrap_pb2.IssueNodeCertificateRequest,
        bootstrap_pb2.IssueNodeCertificateResponse,
        ANYONE,
    )


class NodeDaemon:
    """coveyd's own API on its local socket."""

    name = "covey.v1.NodeDaemon"
    init = Unary(name, "Init", node_pb2.InitRequest, node_pb2.InitResponse, LOCAL, Where.ANYWHERE)
    join = Unary(name, "Join", node_pb2.JoinRequest, node_pb2.JoinResponse, LOCAL, Where.ANYWHERE)
    leave = Unary(name, "Leave", node_pb2.LeaveRequest, node_pb2.LeaveResponse, LOCAL, Where.ANYWHERE)
    info = Unary(name, "Info", node_pb2.InfoRequest, node_pb2.InfoResponse, LOCAL, Where.ANYWHERE)
    force_new_cluster = Unary(
        name,
        "ForceNewCluster",
        node_pb2.ForceNewClusterRequest,
        node_pb2.ForceNewClusterResponse,
        LOCAL,
        Where.ANYWHERE,
    )
    restore = Unary(name, "Restore", node_pb2.RestoreRequest, node_pb2.RestoreResponse, LOCAL, Where.ANYWHERE)
    set_address = Unary(
        name, "SetAddress", node_pb2.SetAddressRequest, node_pb2.SetAddressResponse, LOCAL, Where.ANYWHERE
    )
    follow_membership = Unary(
        name,
        "FollowMembership",
        node_pb2.FollowMembershipRequest,
        node_pb2.FollowMembershipResponse,
        LOCAL,
        Where.ANYWHERE,
    )


class NodeAgent:
    """The agent's own API on its local socket."""

    name = "covey.v1.NodeAgent"
    audit = Unary(
        name, "Audit", dispatcher_pb2.AuditQuestion, dispatcher_pb2.AuditAnswer, LOCAL, Where.ANYWHERE
    )


SERVICES = (
    Control,
    Dispatcher,
    Logs,
    LogBroker,
    NodeCa,
    StoreKeeping,
    Raft,
    Bootstrap,
    NodeDaemon,
    NodeAgent,
)


def methods() -> list[Method[Any, Any]]:
    """List every method of every service."""
    return [value for service in SERVICES for value in vars(service).values() if isinstance(value, Method)]
