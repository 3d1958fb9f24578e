"""Development equipment: a cluster, a forge and their tools on one machine. Nothing of it is ever shipped."""
