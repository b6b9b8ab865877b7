"""From event to outside: the database row is the queue, and whoever drains it may die at any moment.

`fan_out` turns events into deliveries, `lease_due` takes some of them for a while, a `Sender` sends them outside any
transaction, `settle` writes what came of it where the lease is still ours. `drain` does all of it until nothing is
left; two drains at once are harmless.
"""

from notifications.relay.dispatch import fan_out, recover_since, redeliver
from notifications.relay.draining import BREATH_SECONDS, drain
from notifications.relay.leases import Leased, lease_due
from notifications.relay.outcomes import Try, settle
from notifications.relay.sender import Sender

__all__ = [
    "BREATH_SECONDS",
    "Leased",
    "Sender",
    "Try",
    "drain",
    "fan_out",
    "lease_due",
    "recover_since",
    "redeliver",
    "settle",
]
