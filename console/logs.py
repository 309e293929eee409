"""Logs of the worker and the API: one line each on standard error, no values of variables, no colours."""

import logging
import sys

import structlog


def log_to_standard_error(level: int) -> None:
    """From this level on; what a command prints on standard output stays alone there."""
    line = "%(asctime)s %(levelname)s %(name)s %(message)s"
    logging.basicConfig(level=level, stream=sys.stderr, format=line, force=True)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # The default renderer would print the local variables of a traceback, and people's addresses with them.
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
