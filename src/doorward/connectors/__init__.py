"""Connectors: the hands. Each holds one credential of one upstream, executes and decides nothing.

A connector is a folder with one function per action on the common gate, which verifies, redeems,
executes once, reports and strips. Life of an action, steps 5 to 9, in this order:

    wire      parse strictly
    admission verify proof, capability, arguments, digest, caveats (pure)
    broker    redeem: from here on the capability is spent
    upstream  execute once, before the broker's `executeBy`
    outcomes  tell the broker what became of it, until it has heard
    gate      the order of these five, and the stripped answer
"""
