"""Replies that say what is known of a command that could not be answered."""

from __future__ import annotations

NO_QUORUM = b"-CLUSTERDOWN no quorum: nothing was done; try again, or see COMITY.STATUS\r\n"
INDETERMINATE = (
    b"-INDETERMINATE no answer within the deadline; the command may have been or may yet be carried out\r\n"
)
NOT_KEPT = b"-INDETERMINATE the command was carried out once, but its answer is no longer kept\r\n"
PARTLY = b"-INDETERMINATE the command was carried out on some keys; on others it was not or may yet be\r\n"
OVERLOADED = b"-TRYAGAIN too many commands are waiting on this node: nothing was done; try again later\r\n"
NO_MEMBER = b"-CLUSTERDOWN this node is not a member of the cluster: nothing was done; use another one\r\n"
