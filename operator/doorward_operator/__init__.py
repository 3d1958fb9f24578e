"""The operator: tasks become pods and end. kopf is the shell; no decision about an action is made here."""
