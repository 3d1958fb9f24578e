"""The one room that talks to the API server: raw JSON, time limits, and no surprises after a gap.

async with connect() as client:
    pod = await client.get(resources.PODS, "name", "namespace")
    await watch_forever(client, resources.AGENT_TASKS, None, on_event)
"""

from doorward.kube import resources
from doorward.kube.access import ActingAs
from doorward.kube.backoff import Backoff
from doorward.kube.client import Client, Page, connect
from doorward.kube.errors import ApiError, Unreachable
from doorward.kube.events import EventsRecorder
from doorward.kube.lease import Election, Timing
from doorward.kube.resources import Object, Resource
from doorward.kube.reviews import Access, Identity, subject_access_review, token_review
from doorward.kube.watching import Change, ChangeType, Informer, OnEvent, watch_forever

__all__ = [
    "Access",
    "ActingAs",
    "ApiError",
    "Backoff",
    "Change",
    "ChangeType",
    "Client",
    "Election",
    "EventsRecorder",
    "Identity",
    "Informer",
    "Object",
    "OnEvent",
    "Page",
    "Resource",
    "Timing",
    "Unreachable",
    "connect",
    "resources",
    "subject_access_review",
    "token_review",
    "watch_forever",
]
