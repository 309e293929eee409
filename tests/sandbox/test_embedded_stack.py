import asyncio
import os
import re
import shutil
import stat
import subprocess
import sys
from http import HTTPStatus
from pathlib import Path

import httpx2
import psycopg
import pytest
from temporalio.client import Client, WorkflowExecutionStatus

from sandbox.embedded_server import ServerNotStartedError
from sandbox.ports import free_port
from sandbox.postgres import PostgresServer, _forget_the_dead
from sandbox.temporal_server import TemporalServer

PROJECT = Path(__file__).resolve().parents[2]
AS_ROOT = os.geteuid() == 0


@pytest.fixture
def folder(server_folder: Path, request: pytest.FixtureRequest) -> Path:
    """Like tmp_path, where another user can enter it."""
    own = server_folder / str(request.node.name)
    own.mkdir()
    return own


def ask(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement.encode()).fetchall()


def do(url: str, statement: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statement.encode())


def test_the_database_asks_for_its_password(postgres_server: PostgresServer) -> None:
    assert ask(postgres_server.url, "select 1") == [(1,)]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(re.sub(r":[^:@]+@", ":guessed@", postgres_server.url))


def test_the_password_can_be_read_by_its_owner_alone(postgres_server: PostgresServer, server_folder: Path) -> None:
    password = server_folder / "postgres" / "postgres" / "password"
    assert stat.S_IMODE(password.stat().st_mode) == 0o600
    assert password.read_text() in postgres_server.url


def test_the_database_listens_on_loopback_alone(postgres_server: PostgresServer) -> None:
    assert ask(postgres_server.url, "show listen_addresses") == [("127.0.0.1",)]
    assert ask(postgres_server.url, "show unix_socket_directories") == [("",)]


def test_a_fresh_database_has_our_tables_and_no_rows(database_url: str) -> None:
    assert ask(database_url, "select count(*) from drumbeat.runs") == [(0,)]


def test_databases_of_two_tests_do_not_know_each_other(postgres_server: PostgresServer) -> None:
    urls = [postgres_server.create_database(name) for name in ("first_of_two", "second_of_two")]
    do(urls[0], "create table mine (id int)")
    with pytest.raises(psycopg.errors.UndefinedTable):
        ask(urls[1], "select * from mine")


def test_a_database_is_dropped_although_somebody_is_connected(postgres_server: PostgresServer) -> None:
    url = postgres_server.create_database("to_be_dropped")
    with psycopg.connect(url) as connection:
        postgres_server.drop_database("to_be_dropped")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")


def test_a_killed_postgres_comes_back_with_what_was_committed(folder: Path) -> None:
    with PostgresServer(folder) as server:
        do(server.url, "create table kept (id int); insert into kept values (7)")
        server.kill()
        server.start()
        assert ask(server.url, "select id from kept") == [(7,)]


def test_a_postgres_ends_with_its_killed_parent_and_the_next_one_takes_over(folder: Path) -> None:
    script = (
        "import pathlib, signal\n"
        "from sandbox.postgres import PostgresServer\n"
        f"server = PostgresServer(pathlib.Path({str(folder)!r})).start()\n"
        "print(server.url, flush=True)\n"
        "signal.pause()\n"
    )
    parent = subprocess.Popen(  # noqa: S603 - the script above
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=PROJECT
    )
    assert parent.stdout is not None
    with parent.stdout as said:
        do(said.readline().strip(), "create table kept (id int)")
    parent.kill()
    parent.wait()
    with PostgresServer(folder) as server:
        assert ask(server.url, "select count(*) from kept") == [(0,)]


def test_a_cluster_that_was_made_by_half_is_made_anew(folder: Path) -> None:
    half = folder / "postgres" / "cluster.unfinished" / "base"
    half.mkdir(parents=True)
    with PostgresServer(folder, durable=False) as server:
        assert ask(server.url, "select 1") == [(1,)]
    assert not half.parent.exists()


def test_a_pid_file_that_names_somebody_else_is_forgotten(tmp_path: Path, postgres_server: PostgresServer) -> None:
    pid_file = tmp_path / "postmaster.pid"
    pid_file.write_text(f"{postgres_server.pid}\n/some/folder\n")
    _forget_the_dead(pid_file)
    assert pid_file.exists()
    pid_file.write_text(f"{os.getpid()}\n/some/folder\n")
    _forget_the_dead(pid_file)
    assert not pid_file.exists()


def test_a_postgres_that_cannot_start_shows_its_last_words(folder: Path) -> None:
    with pytest.raises(ServerNotStartedError, match="max_connections"):
        PostgresServer(folder, durable=False, max_connections=-1).start()


@pytest.mark.skipif(not AS_ROOT, reason="only root's server runs as somebody else")
def test_root_keeps_elsewhere_what_its_server_cannot_reach(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    room = tmp_path / "closed" / "postgres"
    with PostgresServer(tmp_path / "closed", durable=False) as server:
        do(server.url, "create table kept (id int)")
    elsewhere = room.resolve()
    try:
        assert room.is_symlink()
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
        with PostgresServer(tmp_path / "closed", durable=False) as server:
            assert ask(server.url, "select count(*) from kept") == [(0,)]
    finally:
        shutil.rmtree(elsewhere)


def test_a_client_reaches_temporal_from_one_event_loop_after_the_other(temporal_client: Client) -> None:
    for _ in range(2):
        assert asyncio.run(temporal_client.count_workflows()).count >= 0


def test_a_killed_temporal_comes_back_with_its_workflows(folder: Path, temporal_program: Path) -> None:
    with TemporalServer(
        folder, temporal_program, preferred_port=None, headless=True, search_attributes={"CampaignName": "Keyword"}
    ) as server:
        asyncio.run(start_workflow(server.address))
        server.kill()
        server.start()
        assert asyncio.run(status_of_workflow(server.address)) == WorkflowExecutionStatus.RUNNING


async def start_workflow(address: str) -> None:
    client = await Client.connect(address)
    await client.start_workflow("Waiting", id="waiting", task_queue="nobody-works-here")


async def status_of_workflow(address: str) -> WorkflowExecutionStatus | None:
    client = await Client.connect(address)
    return (await client.get_workflow_handle("waiting").describe()).status


def test_temporal_shows_its_pages_unless_it_is_headless(folder: Path, temporal_program: Path) -> None:
    with TemporalServer(
        folder, temporal_program, in_memory=True, preferred_port=None, preferred_ui_port=None
    ) as server:
        assert server.ui_url is not None
        assert httpx2.get(server.ui_url).status_code == HTTPStatus.OK
    assert TemporalServer(folder, temporal_program, headless=True).ui_url is None


def test_a_temporal_that_ends_at_once_shows_its_last_words(folder: Path) -> None:
    program = folder / "temporal"
    program.write_text("#!/bin/sh\necho the reason; exit 1\n")
    program.chmod(0o755)
    with pytest.raises(ServerNotStartedError, match="Temporal ended at once:\nthe reason"):
        TemporalServer(folder, program).start()


def test_a_server_that_loses_its_port_to_another_takes_a_new_one(
    folder: Path, temporal_program: Path, temporal_server: TemporalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = int(temporal_server.address.rpartition(":")[2])
    monkeypatch.setattr("sandbox.embedded_server.free_port", lambda preferred=None: preferred or free_port())
    with TemporalServer(folder, temporal_program, in_memory=True, headless=True, preferred_port=taken) as server:
        assert server.address != temporal_server.address
        assert asyncio.run(status_of_server(server.address))


async def status_of_server(address: str) -> bool:
    return await (await Client.connect(address)).service_client.check_health()
