"""What Docker Swarm takes for the same, for the column beside ours.

Measured elsewhere with Docker Engine 20.10.24 in swarm mode on a quiet machine with Debian 12, 2 cores and
24 GiB, all nodes on that machine, on an overlay network: the median of several runs, in seconds unless the
name says otherwise. They are a reference and no part of a run: compare ratios, and only roughly.
"""

CREATE_ONE_NODE_S = {1: 0.88, 10: 2.5, 100: 17.7}
CREATE_THREE_NODES_S = {1: 0.94, 10: 2.6, 50: 10.2, 100: 20.1}
CREATE_ONE_NODE_CPU_S = {1: 0.71, 10: 3.1, 50: 15.5, 100: 29.6}
REMOVE_S = {1: 5.9, 10: 6.8, 100: 16.5}
SCALE_UP_S = 8.15  # 10 to 50: 7.6 to 8.7
SCALE_DOWN_S = 6.95  # 50 to 10: 6.2 to 7.7
UPDATE_STOP_FIRST_S = 17.6
UPDATE_START_FIRST_S = 4.1
NODE_DOWN_S = 15.3
DRAINED_S = 10.7  # 30 tasks of one node; three nodes
TASKS_ELSEWHERE_S = 20.9
CRASHED_S = 5.5 - 5  # its restart delay left out
NAME_RESOLVES_S = 0.13  # on another node, after the task runs
CREATE_CALL_MS = 2.0
DNS_QUERY_US = 90.0  # 78 to 101
PSS_100_TASKS_MB = 460.0
IDLE_CPU_PERCENT = 1.0
IDLE_CPU_100_TASKS_PERCENT = 5.0
INIT_S = 0.66
JOIN_S = 0.15
LEADER_KILLED_WRITE_S = 12.1  # 10.2 to 26.6; three managers
LEADER_KILLED_TASK_S = 15.3  # 11.5 to 28.7
