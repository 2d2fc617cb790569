"""Day-two verbs: `pyinfra INVENTORY gpuhost.tasks.VERB`.

`plan`, `explain`, `status` and `history` change nothing on any host.
"""

from gpuhost.deploys.verbs import cycle, repair, rollback, unquarantine, update
from gpuhost.tasks.docker_lines import explain
from gpuhost.tasks.history_table import history
from gpuhost.tasks.plan_table import plan
from gpuhost.tasks.prune_list import prune
from gpuhost.tasks.status_table import status

__all__ = [
    "cycle",
    "explain",
    "history",
    "plan",
    "prune",
    "repair",
    "rollback",
    "status",
    "unquarantine",
    "update",
]
