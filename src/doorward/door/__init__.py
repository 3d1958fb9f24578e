"""The door: the sidecar on loopback that an agent's every action goes through.

It is convenience and identity, not the boundary: it shares a network with the agent. It translates,
asks the broker, hands the capability to a connector and strips credentials both ways; it holds no
secret of any upstream and decides nothing.

    settings  session  what it is told
    broker    hands    whom it calls
    fence     probe    why the agent may start
    listener  native   what the agent sees
    canary             the other side of a probe, run by the platform
"""
