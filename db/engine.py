"""The connection to our PostgreSQL, and the one transaction of a request or an activity's step."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.orm import Session

_LIMITS = {
    # A frozen transaction would hold a run's lock, and with it every claim and the pause.
    "idle_in_transaction_session_timeout": "3s",
    "lock_timeout": "3s",
    # Locks are taken first and the state is read in a later statement; that needs a fresh snapshot for each.
    "default_transaction_isolation": "read\\ committed",
    "timezone": "UTC",
}


def create_database_engine(url: str, *, pool_size: int = 20, application: str = "drumbeat") -> Engine:
    """An engine on psycopg 3 for a `postgresql://` URL."""
    return create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        pool_size=pool_size,
        max_overflow=10,
        pool_pre_ping=True,
        hide_parameters=True,  # errors reach logs, and parameters are people's addresses
        connect_args={
            "options": " ".join(f"-c {name}={value}" for name, value in _LIMITS.items()),
            "application_name": application,
            "connect_timeout": 5,
            "tcp_user_timeout": 10_000,
            "keepalives_idle": 30,
        },
    )


@contextmanager
def transaction(engine: Engine) -> Iterator[Session]:
    """One transaction, committed at the end and nowhere else."""
    with Session(engine, expire_on_commit=False) as session, session.begin():
        yield session


def read_at_leisure(session: Session) -> None:
    """For a transaction that holds no lock of ours: nobody waits for it while it computes between its statements."""
    session.execute(text("set local idle_in_transaction_session_timeout = 0"))
