"""NetworkPolicy on the local node, by nftables. Development equipment: real clusters bring their own.

`plan` says which connections the policies allow (pure), `ruleset` writes that down for nft (pure),
`daemon` follows the API server and loads it. A connection is judged by its tracked addresses, so both its
directions are judged by the same rules at every packet, and one that a change forbids is cut at once.
"""

from devcluster.netpol.model import State
from devcluster.netpol.plan import make_plan
from devcluster.netpol.ruleset import render


def compile_ruleset(state: State) -> str:
    """Compile pods, namespaces and policies into a complete nft file that replaces the one before.

    Raises:
        ValueError: For an operator, protocol or address block that Kubernetes would not accept.

    """
    return render(make_plan(state), state)
