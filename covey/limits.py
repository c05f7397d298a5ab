"""Every bound and default in one place, each with its unit in its name.

Where Docker Swarm has the same constant, its value is the default here unless a comment says why not.
"""

# --- names and sizes -------------------------------------------------------------------------------
name_length_chars_max = 63  # a DNS label: service and network names become DNS names
label_count_max = 256
label_length_bytes_max = 4096
spec_bytes_max = 512 * 1024
memory_bytes_min = 4 * 1024 * 1024
nano_cpus_min = 1_000_000  # 0.001 of a CPU
replicas_max = 100_000
generic_resource_count_max = 1_000_000  # of one kind, on a node or for a task
generic_resources_bytes_max = 4 * 1024  # of names on one node, whose description is bounded, too
engine_labels_bytes_max = 2 * 1024  # of what a host's settings say of it, likewise
health_check_ns_min = 1_000_000  # Docker's: no check more often than every millisecond

# --- the store -------------------------------------------------------------------------------------
entry_bytes_max = 4 * 1024 * 1024 - 64 * 1024  # stays under gRPC's default message, with room for a frame
commit_retries_max = 16
watch_queue_commits_max = 4096
log_entries_between_snapshots = 10_000
log_entries_kept_for_followers = 500
log_bytes_between_snapshots = 64 * 1024 * 1024  # a restart reads at most about twice this
log_group_bytes_max = 8 * 1024 * 1024  # one fsync's worth
log_writes_queued_max = 256  # whoever wants to write more waits for the disk
log_checkpoint_bytes = 4 * 1024 * 1024  # sqlite's write-ahead file is brought home after this much
log_read_bytes = 1024 * 1024
snapshot_chunk_bytes = 1024 * 1024
snapshots_kept = 2  # the one before the newest serves if the newest turns out corrupt
commits_waiting_max = 16_384
store_reach_timeout_s = 10.0  # how long a read waits for this manager to catch up

# --- consensus (manager/raft) ----------------------------------------------------------------------
raft_tick_ms = 50
raft_heartbeat_ticks = 2
raft_election_ticks = 16  # 0.8 s of silence; each member then waits up to twice that, at random
raft_retry_ticks_max = 6  # the pause before standing again after a lost election or a broken connection
raft_write_ticks_max = 60  # a leader whose disk takes longer to write has another member lead
raft_append_bytes_max = 1024 * 1024  # of entries in one message; a single larger entry goes alone
raft_inflight_messages_max = 256  # sent to a member and not acknowledged yet
raft_inflight_bytes_max = 8 * 1024 * 1024
raft_uncommitted_bytes_max = 64 * 1024 * 1024  # then a leader refuses proposals
raft_committed_entries_max = 4096  # handed over to be applied at once
raft_read_timeout_s = 5.0  # a linearizable read outlives an election
raft_read_retry_ms = 500  # a question to the leader may be lost, or the leader with it
raft_transfer_ms = 1_500  # how long a leader that stops waits for another one to take over
raft_change_timeout_s = 10.0  # a change of the membership, from being proposed to being committed
raft_doubt_ms = 3_000  # how long a change waits to hear what became of it after its leader lost the lead
raft_stop_s = 5.0  # for a write under way to end
raft_full_disk_pause_ms = 200
raft_stall_log_ms = 250  # a loop that was held up for longer is worth a line
raft_stall_settle_ms = 10  # after it, what came in meanwhile is heard before time goes on
raft_hello_timeout_ms = 3_000
raft_linger_ms = 200  # for a member's last words to leave when it stops
raft_reconnect_ms_min = 100
raft_reconnect_ms_max = 2_000
raft_keepalive_ms = 1_000  # members that have nothing to say to each other say so
raft_silence_ms_max = 3_500  # then a connection is given up and made anew
raft_outbox_bytes_max = 16 * 1024 * 1024  # to one peer; more is dropped, and said again later
raft_frame_bytes_max = 2 * 1024 * 1024  # of messages sent together; a single larger one goes alone
raft_snapshot_timeout_s = 600.0
raft_snapshot_idle_s = 10.0  # without a piece arriving
raft_removed_ids_max = 256  # remembered, so that a manager which was removed is not listened to

# --- the log in etcd (manager/store/log/etcd) ---------------------------------------------------------
etcd_lease_ttl_s = 3  # outlives most elections of etcd's own; etcd grants no less than 2 with its defaults
etcd_lease_margin_ms = 500  # so long before etcd could end the lease its holder stops leading
etcd_keepalive_ms = (
    200  # under `forward_silence_ms`: a follower that heard nothing for so long passes nothing on
)
etcd_request_timeout_s = 2.0
etcd_open_timeout_s = 15.0  # for a manager that starts: then it ends, and is started again
etcd_retry_ms_min = 50
etcd_retry_ms_max = 1_000
etcd_value_bytes_max = 1024 * 1024 - 4096  # of one key; a longer entry lies in several
etcd_request_bytes_max = 1024 * 1024  # of values in one transaction: etcd refuses requests over 1.5 MiB
etcd_request_puts_max = 100  # etcd refuses more than 128 operations in one transaction
etcd_page_keys = 256
etcd_delete_keys = 1_000  # removed at once: etcd does nothing else meanwhile
etcd_close_timeout_s = 5.0  # for what was asked for before
store_credential_bytes_max = 1024 * 1024
store_endpoints_max = 16

# --- the wire --------------------------------------------------------------------------------------
control_port = 2377
bootstrap_port = 2378
vxlan_port = 4789
rpc_timeout_s = 30.0
keepalive_period_ms = 10_000
keepalive_timeout_ms = 10_000
message_bytes_max = 64 * 1024 * 1024  # a whole assignment set or network table of a large cluster
request_bytes_max = 16 * 1024 * 1024  # what a server takes; its answers may be larger
status_message_chars_max = 4096  # gRPC carries it in a header, and headers are bounded
metadata_bytes_max = 32 * 1024  # such a message, in whatever script
connect_timeout_ms = 3_000
handshake_timeout_ms = 10_000
unix_path_bytes_max = 107
peer_certificates_cached = 4096

# --- sessions --------------------------------------------------------------------------------------
heartbeat_period_ms = 1_000  # quicker than Swarm's 5 s: a dead node is to be found in about 3 s
heartbeat_grace_periods = 3
manager_grace_periods = 2  # then an agent looks for another manager: a needless look costs little
agent_restart_grace_ms = 15_000  # a host that hangs up lives; over child_backoff_ms_max
heartbeats_per_s_max = 500  # managers lengthen the period once they would receive more
status_batch_ms = 20
assignment_batch_ms = 20
session_queue_messages_max = 10_000
dispatcher_events_max = 20_000  # heard and not looked at yet; then agents' streams are not read for a while
withdrawal_wait_ms = 2_000  # how long a task that is to stop waits for all nodes to send it nothing new
flush_tasks_max = 1_000  # tasks that one turn of the dispatcher looks at, to tell nodes what changed
reconnect_backoff_ms_min = 100
reconnect_backoff_ms_max = 8_000
heartbeat_period_ms_min = 100
heartbeat_period_ms_max = 60_000
register_timeout_ms = 5_000
manager_answer_ms = (
    2_000  # how long an agent waits for one manager while there are others to ask; then doubled
)
manager_suspect_ms = 3_000  # an agent does not come back so soon to a manager that failed it, later each time
manager_suspect_ms_max = 6_000  # or it would not be found in time once it leads
search_pause_ms_max = 4_000  # agents must be back with a new leader before it takes their nodes for dead
leaderless_pause_ms_min = 50  # between two managers that both know of no leader: an election takes a second
leaderless_pause_ms_max = 200
leaderless_pauses_short = 12  # then they grow, up to `search_pause_ms_max`: there may be no quorum
redirects_in_a_row_max = 3
follow_retry_ms_min = 200  # an agent's asking its coveyd again to follow a change of roles or managers
follow_retry_ms_max = 5_000
status_reports_in_flight_max = 16
status_report_tasks_max = 1_000
reports_per_commit_max = 250  # even if each is as long as it may be, in whatever script
node_description_bytes_max = 8 * 1024

# --- membership of managers (manager/roles, manager/founding, manager/backup) -----------------------
raft_caught_up_entries = 1_000  # a learner no further behind may vote; it makes this up in a moment
member_silent_ms_max = 1_500  # a member not heard from for longer counts as unreachable
membership_change_timeout_s = 10.0
membership_change_retry_ms = 100  # one change at a time: the next waits for the one under way
roles_look_ms = 1_000
roles_look_busy_ms = 150  # while something is on its way: a learner that catches up, a manager that goes
join_dial_timeout_s = 5.0  # whoever joins must be reached at the address it names, as Swarm has it
join_timeout_s = 30.0  # one request to join: dialling back, and the changes it needs
join_backoff_ms_min = 200
join_backoff_ms_max = 5_000
status_ask_timeout_s = 1.0  # how long a manager waits for the leader when asked how the cluster stands
leadership_doubt_ms = (
    1_500  # a leader whose writes nobody takes hears by then that it leads no more, or leads on
)
leader_missed_ms = 5_000  # then a manager asks the others who is a member by now
leader_look_ms = 500  # how often a manager notes when it last heard from the leader
forward_wait_s = 10.0  # how long a request waits for a leader: several elections
forward_silence_ms = 300  # nothing is sent to a leader that has been silent for longer: it may be dead
forward_answer_ms = 500  # how long a leader's answer is waited for once another one leads
forward_pause_ms = 50  # before a request goes to a leader again that did not take it
epoch_ask_timeout_s = 1.0
epoch_look_s = 5.0  # how often a leader asks members it does not hear whether the cluster went on without it
backup_frame_bytes_max = 8 * 1024 * 1024
backup_read_bytes = 1024 * 1024

# --- the control API -------------------------------------------------------------------------------
server_stop_grace_s = 2.0
page_items_max = 500
log_batches_queued_max = 64
log_source_look_s = 2.0  # how long a reader waits in silence before it looks who has gone
watch_batch_ms = 50
watch_rest_factor = 10  # after each moment told to a watcher, so many times what telling it took

# --- orchestration ---------------------------------------------------------------------------------
restart_delay_ns = 5_000_000_000
restart_old_task_wait_ms = 60_000  # at least; longer for a task that may take longer to stop
stop_margin_ms = 10_000  # over a task's drain time and grace, for its node to be heard that it stopped
update_monitor_ns = 5_000_000_000
update_start_deadline_ns = (
    300_000_000_000  # a new task that does not run by then has failed; Swarm waits for ever
)
drain_ns = 5_000_000_000  # how long connections of a task that is to stop may go on
drain_deadline_ns = 60_000_000_000  # how long a drained node's tasks may wait for others to take over
restart_backoff_failures = 3  # quick ends in a row, before the delay of restarts doubles each time
restart_backoff_ms_min = 1_000  # what is doubled if the delay is shorter, or none at all
restart_backoff_ms_max = 300_000
restart_stable_ms = 10_000  # a task that ran for longer did not end quickly
scheduler_failures_max = 5  # of one revision on one node, within the window: then other nodes go first
scheduler_failure_window_ms = 300_000
stop_grace_ns = 10_000_000_000
task_history_per_slot = 5
task_history_max = 1_000  # that can be asked for; -1 keeps all, as Swarm has it
job_history_places_max = 1_000  # a job of more keeps one task of each place that is done
planner_debounce_ms = 5
garbage_search_ms = 30  # a longer one sets aside what it found alive
turn_ms = 20  # whoever has more to do lets others have a turn then
planner_pass_objects_max = 2_000  # objects one planning pass writes: one transaction, and a short stall
planner_pass_objects_min = 1_000
planner_turn_ms = 200  # one planner's part of a pass; fewer objects are written if it takes longer
planner_thread_tasks = 5_000  # with more of them, planners work in another thread
planner_read_objects = 1_000  # a new leader reads so many, then others have a turn
nodes_asked_per_object = 64  # asking so many nodes about a group takes as long as writing an object
planner_retry_ms = 100  # after a transaction was refused for another reason than a conflict; then doubled
planner_retry_ms_max = 5_000
revisions_kept_per_service = 10
update_monitor_margin_ms = 1_000  # a monitor period outlasts the delay between two places by this
orphan_after_ms = 24 * 3_600 * 1_000
rehearsal_rounds_max = 20_000  # passes of planners for one `--plan`
plan_steps_max = 5_000  # listed of one plan
aside_s = 20.0  # for a plan or an explanation, which then ends where it is; under `rpc_timeout_s`
aside_wait_s = 5.0  # for another one to end
explained_tasks_max = 200  # those in trouble first
explanation_refresh_ms = 2_000  # a pending task's explanation is rewritten at most this often

# --- networks --------------------------------------------------------------------------------------
vni_first = 4096
vni_last = (1 << 24) - 1
address_pool_default = "10.0.0.0/8"
subnet_prefix_length = 24
subnet_prefix_length_min = 8
subnet_prefix_length_ipv6 = 64  # of the subnets that come from a pool
subnet_prefix_length_ipv6_min = 32
subnet_prefix_length_ipv6_max = 96  # an endpoint's address ends with its number, which has 32 bits
subnets_per_network_max = 16
ingress_subnet_default = "10.255.0.0/16"
published_port_first = 30_000
published_port_last = 32_767
addresses_per_subnet_max = 1 << 20  # a wider subnet is used up to here
addresses_per_ipv6_subnet_max = 1 << 16  # where endpoints have no IPv4, unless an ip-range asks for more
vxlan_overhead_bytes = 50
vxlan_overhead_ipv6_bytes = 70
tunnel_underlay_mtu_min = 1280 + 80  # IPv6 lives on no link that takes less than 1,280 bytes (RFC 8200)
wireguard_overhead_bytes = 80  # on an IPv6 underlay; 60 on IPv4
tunnel_port = 4793  # and the one above it: keys of two generations are in use during a rotation
tunnel_rotation_s = 12 * 3600
tunnel_rotation_s_min = 30  # two overlaps
tunnel_rotation_look_s = 5.0
tunnel_overlap_s = 15.0  # keys of the generation before are kept until nobody has used them for so long
tunnel_look_s = 1.0  # how often a node looks after its tunnels
tunnel_retry_s_max = 8.0  # the pause after many failures in a row; it begins with tunnel_look_s, and doubles
tunnel_start_s = 5.0  # for wireguard-go to answer
tunnel_receive_buffer_bytes = 2 << 20  # at wireguard-go's sockets; each packet counts twice its size, or more
tunnel_probe_s = 12.0  # for a packet to come through one; WireGuard calls again after 5 s, twice then
tunnel_clock_back_s = 60.0  # a clock set back by less is there again before a WireGuard session ends
tunnel_silence_s = 10.0  # a peer whose tunnel has not answered for so long is named
tunnel_call_s = 0.05  # and while there are peers that have not answered yet
tunnel_keepalive_s = 1  # while a peer has not answered with its newest key
network_mtu_bytes_min = 576  # what every host must take (RFC 791)
network_mtu_bytes_max = 65_535 - vxlan_overhead_bytes
ipv6_mtu_bytes_min = 1_280  # what every link with IPv6 must take (RFC 8200, 5)
gateway_route_prefix_length_min = 8  # a wider route (the default one) is no claim on a subnet
vxlan_strangers_max = 16  # senders of spoofed VXLAN packets that are remembered by name
dropped_named_s = 3_600.0  # how long those are named from whom something was dropped, since the last of it
table_changes_kept = 64  # of each table, for agents whose streams broke
encoded_table_kept_ms = 10_000  # a table as a message, since it was last sent to a node
table_journal_rows_min = 500  # changed rows kept beside a table on disk before it is written whole again
netlink_timeout_s = 10.0
link_retry_ms = 20  # the kernel removes what was in a dropped namespace a moment later
link_retries_max = 50
audit_period_s = 600.0  # about how often a node audits itself: reading all back takes a part of a second
audits_at_once = 4  # a leader carries out for people, and a node for managers, waiting ones included
audit_settle_ms = 1_500  # what is amiss counts if it still is after that
audit_node_s = 40.0  # a whole audit of a node, repair included
audit_wait_s = 45.0  # for a node that was asked to audit itself
audit_answer_bytes_max = 2 * 1024 * 1024
dns_audit_s = 10.0  # for the DNS server to say what it serves
audit_findings_max = 500  # listed in one report; all are counted
audit_words_chars_max = 300  # of one finding
audit_remarks_max = 20
audit_tasks_max = 5_000  # of one node, in its report
neighbours_max = 65_536  # that the kernel may know of in all namespaces of a host: its own bound is 1,024
network_remarks_s = 5.0  # how soon managers hear of what stands in the networks' way on a host
health_port_retry_s = 5.0  # while something else on the host holds it
health_requests_max = 64  # open at once on a node's health ports; more are hung up on
health_request_bytes_max = 4 * 1024
health_request_timeout_s = 5.0
node_interfaces_max = 64  # of those a node says it has
node_remarks_max = 10  # of what a node says of its networks
node_remark_chars_max = 300
firewall_look_s = 2.0  # how often a node looks whether its firewall's tables stand
network_look_s = 30.0  # how often the host is looked at for what would break the networks
connections_look_ms_min = 10  # how soon a stopping task's connections are looked at again, longer each time
connections_look_ms_max = 100
denied_network_retry_ms = 5_000  # asking for a VNI that is taken holds up the other networks for a second

# --- identity --------------------------------------------------------------------------------------
node_certificate_days = 90
node_certificate_backdate_hours = 1
root_certificate_days = 20 * 365
signing_request_bytes_max = 16 * 1024
hostname_length_chars_max = 255
user_chars_max = 64  # of who is at the keyboard, as a client says
bootstrap_host_burst = 20  # a join takes two requests
bootstrap_host_requests_per_s = 2
bootstrap_burst = 400
bootstrap_requests_per_s = 100
bootstrap_hosts_remembered = 4096
bootstrap_request_bytes_max = 64 * 1024
bootstrap_streams_max = 8  # per connection
bootstrap_idle_ms = 10_000
bootstrap_connection_ms = 60_000
certificate_renewal_from_part = 0.5  # of its lifetime; spread, so that not all nodes come at once
certificate_renewal_to_part = 0.8
certificate_renewal_look_s = 30
certificate_renewal_retry_ms_min = 5_000
certificate_renewal_retry_ms_max = 3_600_000

# --- coveyd ----------------------------------------------------------------------------------------
child_backoff_ms_min = 100
child_backoff_ms_max = 10_000
child_stable_ms = 30_000
child_stop_ms = 10_000
manager_ready_ms = 20_000
manager_joined_ms = 60_000  # until one that joins has fetched the state and votes, or one alone leads
demotion_timeout_s = 60.0
status_timeout_s = 5.0  # a manager says how it stands from memory, and asks the leader once at most
stop_tasks_timeout_s = 600  # tasks choose their own grace periods

# --- containers ------------------------------------------------------------------------------------
container_log_bytes_max = 10 * 1024 * 1024  # per file
container_log_files = 3  # Docker keeps a single log without end; a full disk is the worse surprise
container_log_check_ms = 2_000
container_create_timeout_s = 60.0
container_starts_at_once = 4  # more make each other wait for the kernel's mount and cgroup locks
container_exit_record_ms = 5_000  # how long after a process's end conmon may take to write its code
container_log_overrun = 4  # how many times its bound a log may grow while no agent rotates it
image_pull_timeout_s = 1800.0
image_query_timeout_s = 30.0
image_platforms_max = 64  # an image made for more is taken to be for all
image_resolve_timeout_s = 10.0  # within a request, which ends after `rpc_timeout_s`
image_pulls_at_once = 3
exec_output_bytes_max = 4096  # of what a command in a container writes, as Docker keeps of health checks
exec_starts_at_once = 2  # beginning one costs the processor some 30 ms; containers' starts go before

# --- tasks (agent/tasks) ----------------------------------------------------------------------------
task_retry_delay_ms = 1_000  # as Swarm's agent waits after a temporary error
task_attempts_max = 10
task_table_wait_ms = 2_000  # how long a container's start waits for its networks' first tables
task_network_actions_at_once = 4  # they are done one after another, but none waits for us
task_runtime_actions_at_once = 8  # some wait for the disk, not the processor
task_action_timeout_s = 120.0
task_error_chars_max = 1_024
health_interval_ns = 30_000_000_000
health_timeout_ns = 30_000_000_000
health_start_interval_ns = 5_000_000_000
health_retries = 3
health_pause_ms_min = 200  # between two checks of a container: each costs the processor some 30 ms
health_duration_ms_max = 7 * 24 * 3_600 * 1_000  # an image may say anything
health_probes_at_once = 32  # most of them wait for an answer; `exec_starts_at_once` bounds what they cost
agent_write_batch_ms = 5
agent_events_per_turn = 256
container_log_record_bytes_max = 64 * 1024  # a longer line reaches the reader in parts
container_log_read_bytes = 64 * 1024
container_log_batch_records = 256
container_log_batch_bytes = 1024 * 1024  # of text in one message
container_log_follow_ms = 200

# --- other programs --------------------------------------------------------------------------------
program_output_bytes_max = 16 * 1024 * 1024
program_complaint_chars_max = 600

# --- names (agent/dns) -----------------------------------------------------------------------------
dns_address = "127.0.0.11"  # where containers ask, as Docker's do
dns_ttl_vip_s = 600  # as Docker; a virtual address lives as long as its service
dns_ttl_tasks_s = 1  # Docker says 600 here too, and stale task addresses are its best known complaint
dns_udp_bytes = 4096  # the largest datagram offered or taken; it never leaves the container's loopback
dns_query_bytes_max = 4_096  # real ones stay under 600; parsing a hostile long one would stall others
dns_query_records_max = 4  # after the question: an OPT record, a signature; more are nobody's
dns_upstreams_max = 3
dns_upstream_timeout_ms = 4_000
dns_upstream_late_ms = 30_000  # how long a server that did not answer is asked after the others
dns_forwards_max = 1_024
dns_forwards_shared_max = 768  # the rest is for containers that ask little
dns_forwards_per_container_max = 192
dns_forwards_per_container_min = 4  # that many each may have waiting, whatever the others do
dns_forwards_free_per_asked = 3  # and for each one a container has waiting, so many places are still free
dns_tcp_connections_per_container_max = 32
dns_tcp_connections_max = 1_024  # of all containers; each is a descriptor of the one process that serves them
dns_tcp_idle_ms = 10_000  # for a query to come, and for its answer to be taken
dns_accept_pause_ms = 1_000  # after a connection could not be taken, for want of descriptors
dns_datagrams_per_wakeup = 32
dns_frame_bytes_max = 64 * 1024 * 1024
dns_requests_in_flight_max = 64
dns_ready_ms = 5_000
dns_call_again_ms_max = 400  # between two calls of the agent at its DNS server: tasks wait for it
dns_table_ms = 1_000  # how long saying that a table is followed waits for names; under `withdrawal_wait_ms`
dns_alone_look_ms = 1_000  # how often the process looks whether coveyd has gone and the last container, too
dns_dropped_named_max = 3  # containers that sent no questions; the others are counted
dns_persist_delay_ms = 200

# --- the command line (covey/client, covey/cli) ----------------------------------------------------
failover_patience_s = 5.0  # how long a reader asks again while a new leader is being found
failover_pause_ms = 100
role_look_ms = 200
role_change_bound_s = 120.0  # then `covey node promote` ends, and it goes on in the background
membership_timeout_s = 120.0  # init, join and leave wait for keys, managers and containers
converge_stable_ms = 2_000  # how long all tasks must run before `create` says converged; Docker takes 5 s
converge_bound_s = 900.0  # then the command ends, and the service goes on in the background
converge_quick_ends = 5  # a task that ended so often in a row, each time soon, will not run by waiting longer
converge_stop_margin_s = 120.0  # beyond the grace and drain times of a service that is to stop
converge_reconnect_s = 10.0  # how long a manager may be away while it is restarted
conflicts_borne_max = 10  # how often a command that read, changed and wrote does so again
conflict_pause_ms = 50
env_file_bytes_max = 1024 * 1024
