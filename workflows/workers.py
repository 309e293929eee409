"""The workers: one for the workflows and what they ask of the database, one for each channel."""

import asyncio
import signal
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Engine
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities import queues
from activities.advance import Delivery, Links
from activities.audience import AudienceSnapshot
from activities.measuring import Measuring
from activities.opening import Opening
from activities.planned_times import PlannedTimes, ask_temporal
from activities.running import Running
from activities.sweeping import Sweeping
from campaigns.registry import Registry
from channels.interface import Channel
from domain.hand_over import SHUTDOWN_GRACE
from domain.hashing import AddressHasher
from domain.house_rules import HouseRules
from workflows.campaign_run import CampaignRun
from workflows.delivery_batch import DeliveryBatch
from workflows.recipient_delivery import RecipientDelivery
from workflows.run_measurement import RunMeasurement
from workflows.sweep import Sweep

WORKFLOWS: Sequence[type] = (CampaignRun, DeliveryBatch, RecipientDelivery, RunMeasurement, Sweep)
CHANNELS = ("fcm", "mqtt")
"""Every channel there is. The queue of one that is off is served too: its messages are held, not lost."""
CORE_ACTIVITIES_AT_ONCE = 20
WORKFLOW_TASKS_AT_ONCE = 40
CACHED_WORKFLOWS = 2000
STICKY_FOR = timedelta(seconds=2)
"""How long a dead worker's cache holds its workflows up."""

HEARTBEAT_HELD_BACK = timedelta(seconds=10)
"""At most, by the SDK. What a killed snapshot stored since its last heartbeat is read again; it would be a minute's."""


@dataclass(frozen=True, slots=True)
class WorkerParts:
    client: Client
    engine: Engine
    registry: Registry
    channels: Mapping[str, Channel]
    sources: Mapping[str, Any]
    links: Links
    hash_address: AddressHasher
    house_rules: HouseRules
    slots: int = 50
    """Sends at once on each channel."""
    core_queue: str = queues.CORE


def build_workers(parts: WorkerParts) -> list[Worker]:
    """Not started yet; run them together, and end them together."""
    delivery = Delivery(parts.engine, parts.channels, parts.links, parts.hash_address)
    core = core_worker(parts.client, parts.core_queue, WORKFLOWS, core_activities(parts))
    queue = parts.core_queue
    return [core, *(channel_worker(parts.client, queue, name, parts.slots, delivery.advance) for name in CHANNELS)]


def core_activities(parts: WorkerParts) -> list[Callable[..., Any]]:
    planned_times = PlannedTimes(parts.engine, parts.registry, ask_temporal(parts.client))
    opening = Opening(parts.engine, parts.registry, parts.channels, parts.house_rules, planned_times)
    snapshot = AudienceSnapshot(parts.engine, parts.registry, parts.sources)
    running = Running(parts.engine, parts.registry)
    measuring = Measuring(parts.engine, parts.registry, parts.sources)
    sweeping = Sweeping(parts.engine, parts.client, parts.core_queue)
    return [
        opening.open_run,
        opening.fail_run,
        snapshot.take_audience_snapshot,
        running.open_batch,
        running.survey_run,
        running.change_run,
        measuring.measure_run,
        sweeping.count_sweep,
        sweeping.take_overdue,
        sweeping.nudge_page,
        sweeping.count_unmoved,
        sweeping.list_open_runs,
        sweeping.look_after_runs,
        sweeping.wake_sweep,
    ]


def core_worker(
    client: Client, queue: str, workflows: Sequence[type], activities: Sequence[Callable[..., Any]]
) -> Worker:
    return Worker(
        client,
        task_queue=queue,
        workflows=workflows,
        activities=activities,
        activity_executor=ThreadPoolExecutor(CORE_ACTIVITIES_AT_ONCE, thread_name_prefix="core"),
        max_concurrent_activities=CORE_ACTIVITIES_AT_ONCE,
        max_heartbeat_throttle_interval=HEARTBEAT_HELD_BACK,
        # The sandbox costs three times the CPU; the import contracts and the replay test guard instead.
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_concurrent_workflow_tasks=WORKFLOW_TASKS_AT_ONCE,
        max_cached_workflows=CACHED_WORKFLOWS,
        sticky_queue_schedule_to_start_timeout=STICKY_FOR,
        graceful_shutdown_timeout=SHUTDOWN_GRACE,
    )


def channel_worker(client: Client, core_queue: str, channel: str, slots: int, advance: Callable[..., Any]) -> Worker:
    return Worker(
        client,
        task_queue=queues.of_channel(core_queue, channel),
        activities=[advance],
        activity_executor=ThreadPoolExecutor(slots, thread_name_prefix=channel),
        max_concurrent_activities=slots,
        graceful_shutdown_timeout=SHUTDOWN_GRACE,
    )


async def told_to_stop() -> None:
    """Until SIGINT or SIGTERM; for the one process that runs workers and nothing else."""
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    await told.wait()
