"""Runs what docker-compose.yml says where no container engine is: each service as a process, as its own user.

Commands, environments, mounted files, users, health checks and the order of the start are the file's own. What stands
in: programs of this machine for those of the images, folders for volumes (so the paths in commands, settings and files
are replaced), and one network namespace for the networks, in which every service's name is 127.0.0.1.
"""

import os
import pwd
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from deploy.compose_file import ComposeFile, Service, seconds

ROOT = Path(__file__).resolve().parent.parent
DRUMBEAT = "drumbeat"
_JOB_SECONDS = 180
# What each image begins with where the file gives no command, and what its own start script would add.
_COMMANDS: Mapping[str, Sequence[str]] = {
    "temporalio/server": ("temporal-server", "start"),
    "eclipse-mosquitto": ("mosquitto", "-c", "/mosquitto/config/mosquitto.conf"),
    DRUMBEAT: ("drumbeat",),
}
_ADDED: Mapping[str, Mapping[str, str]] = {
    "postgres": {"PGDATA": "/var/lib/postgresql/data"},
    "temporalio/server": {"TEMPORAL_BROADCAST_ADDRESS": "127.0.0.1"},
    DRUMBEAT: {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"},
}


class ServiceFailedError(Exception):
    """The text names the service and ends with its log."""


@dataclass
class Processes:
    compose: ComposeFile
    folder: Path
    """Volumes, translated files and logs."""
    programs: Mapping[str, Path]
    """Where each image's programs are, by image; "" for all others."""
    sources: Mapping[str, Path] = field(default_factory=dict)
    """Folders that stand for those which the file mounts."""
    added: Mapping[str, str] = field(default_factory=dict)
    """Further environment of Drumbeat's services, as an override file would add it."""
    running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def up(self, name: str) -> None:
        """After what it depends on; returns when a job has succeeded or a server is healthy."""
        for other, wanted in self._service(name).depends_on.items():
            if wanted.condition == "service_completed_successfully" or other not in self.running:
                self.up(other)
        began = time.monotonic()
        if self._service(name).is_job:
            self._do(name)
        elif name not in self.running:
            self.start(name)
            self.await_healthy(name)
        print(f"  {name:<20} {time.monotonic() - began:5.1f} s", flush=True)  # noqa: T201 - a script

    def start(self, name: str) -> None:
        service = self._service(name)
        if _image(service) == "postgres":
            self._make_cluster(name)
        with self.log(name).open("ab") as log:
            self.running[name] = self._launch(name, self._command(service), log)

    def await_healthy(self, name: str) -> None:
        check = self._service(name).healthcheck
        if check is None:
            raise AssertionError(f"{name} has no health check")
        give_up = time.monotonic() + seconds(check.start_period) + check.retries * seconds(check.interval)
        while self.healthy(name).returncode:
            if time.monotonic() > give_up or self.running[name].poll() is not None:
                raise ServiceFailedError(f"{name} is not healthy: {self.healthy(name)}\n{self.tail(name)}")
            time.sleep(0.5)

    def healthy(self, name: str) -> "subprocess.CompletedProcess[str]":
        """What its health check says now."""
        check = self._service(name).healthcheck
        if check is None or check.test[0] != "CMD":
            raise AssertionError(f"{name}: a health check is CMD and words")
        return self.execute(name, check.test[1:], within=seconds(check.timeout))

    def execute(self, name: str, words: Sequence[str], within: float = 60) -> "subprocess.CompletedProcess[str]":
        """As `docker compose exec` does."""
        try:
            return subprocess.run(  # noqa: S603 - the file's own commands
                self._as_its_user(name, words),
                env=self._environment(name),
                cwd="/tmp",  # noqa: S108 - the image's own folder
                capture_output=True,
                text=True,
                timeout=within,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(words, 124, "", f"no answer within {within} s")

    def stop(self, name: str) -> int:
        """As `docker compose stop` does; its exit code."""
        process = self.running.pop(name)
        # PostgreSQL's image asks for its fast shutdown.
        process.send_signal(signal.SIGINT if _image(self._service(name)) == "postgres" else signal.SIGTERM)
        try:
            return process.wait(seconds(self._service(name).stop_grace_period))
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def kill(self, name: str) -> None:
        process = self.running.pop(name)
        process.kill()
        process.wait()

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def tail(self, name: str) -> str:
        return "\n".join(self.log(name).read_text(errors="replace").splitlines()[-20:])

    def _service(self, name: str) -> Service:
        return self.compose.services[name]

    def _do(self, name: str) -> None:
        with self.log(name).open("ab") as log:
            code = self._launch(name, self._command(self._service(name)), log).wait(_JOB_SECONDS)
        if code:
            raise ServiceFailedError(f"{name} ended with {code}:\n{self.tail(name)}")

    def _launch(self, name: str, words: Sequence[str], log: BinaryIO) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(  # noqa: S603 - the file's own commands
            self._as_its_user(name, words),
            env=self._environment(name),
            cwd="/tmp",  # noqa: S108 - the image's own folder
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )

    def _command(self, service: Service) -> list[str]:
        begin = service.entrypoint or _COMMANDS.get(_image(service), ())
        return [*begin, *(service.command or ())]

    def _as_its_user(self, name: str, words: Sequence[str]) -> list[str]:
        uid, gid = self._user(name)
        # Without capabilities and without a way to more, as in the container.
        confined = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--no-new-privs"]
        return [*confined, "--inh-caps=-all", "--bounding-set=-all", "--", *(self._here(name, word) for word in words)]

    def _user(self, name: str) -> tuple[int, int]:
        user, _, group = self._service(name).user.partition(":")
        if user.isdigit():
            return int(user), int(group)
        found = pwd.getpwnam(user)
        return found.pw_uid, found.pw_gid

    def _environment(self, name: str) -> dict[str, str]:
        service = self._service(name)
        programs = self.programs.get(_image(service), self.programs[""])
        of_image = _ADDED.get(_image(service), {})
        own = {key: self._here(name, value) for key, value in {**of_image, **service.environment}.items()}
        added = self.added if _image(service) == DRUMBEAT else {}
        path = {"PATH": f"{programs}:/usr/sbin:/usr/bin:/bin", "HOME": "/tmp"}  # noqa: S108 - as above
        return {**path, **own, **added}

    def _here(self, name: str, text: str) -> str:
        """A text of the container with its paths as they are on this machine."""
        places = self._places(name)
        if not places:
            return text
        longest_first = "|".join(re.escape(target) for target in sorted(places, key=len, reverse=True))
        return re.sub(rf"(?<![\w.])({longest_first})(?![\w.])", lambda found: str(places[found[1]]), text)

    def _places(self, name: str) -> dict[str, Path]:
        """By path in the container."""
        service = self._service(name)
        places = {}
        for mount in service.volumes:
            if mount.type == "volume":
                places[mount.target] = self._volume(mount.source, name)
            else:
                places[mount.target] = self.folder / "files" / name / Path(mount.target).name
        for secret in service.secrets:
            places[f"/run/secrets/{secret}"] = self.folder / "files" / name / secret
        self._copy_files(name, places)
        return places

    def _volume(self, volume: str, name: str) -> Path:
        """A new one belongs to the user that the image made its folder for: the first that mounts it."""
        path = self.folder / "volumes" / volume
        if not path.exists():
            path.mkdir(parents=True)
            path.chmod(0o700)
            os.chown(path, *self._user(name))
        return path

    def _copy_files(self, name: str, places: Mapping[str, Path]) -> None:
        service = self._service(name)
        files = {mount.target: mount.source for mount in service.volumes if mount.type == "bind"}
        files |= {f"/run/secrets/{secret}": self.compose.secrets[secret].file for secret in service.secrets}
        for target, source in files.items():
            if places[target].exists():
                continue
            origin = self._source(source)
            text = origin.read_text()
            for inside, here in sorted(places.items(), key=lambda place: -len(place[0])):
                text = text.replace(inside, str(here))
            places[target].parent.mkdir(parents=True, exist_ok=True)
            places[target].write_text(text)
            if origin.is_file():
                shutil.copymode(origin, places[target])

    def _source(self, source: str) -> Path:
        for stands_for, folder in self.sources.items():
            if source.startswith(stands_for):
                return folder / source.removeprefix(stands_for).lstrip("/")
        return ROOT / source

    def _make_cluster(self, name: str) -> None:
        """What PostgreSQL's image does when its volume is empty: initdb, then the mounted scripts, by the socket."""
        service, cluster = self._service(name), self._places(name)["/var/lib/postgresql/data"]
        if (cluster / "PG_VERSION").exists():
            return
        password = self.folder / "superuser"
        password.write_text(service.environment["POSTGRES_PASSWORD"])
        os.chown(password, *self._user(name))
        arguments = service.environment["POSTGRES_INITDB_ARGS"].split()
        made = ["initdb", "-D", str(cluster), "-U", "postgres", "--auth-local=trust", "--auth-host=scram-sha-256"]
        self._check(name, [*made, f"--pwfile={password}", *arguments])
        password.unlink()
        # The image's own paths: the socket in /var/run/postgresql, all interfaces.
        with (cluster / "postgresql.auto.conf").open("a") as settings:
            settings.write(f"unix_socket_directories = '{cluster}'\nlisten_addresses = '*'\n")
        with (cluster / "pg_hba.conf").open("a") as rules:
            rules.write("host all all all scram-sha-256\n")
        self._check(
            name, ["pg_ctl", "-D", str(cluster), "-w", "-s", "-l", "/dev/null", "-o", "-c listen_addresses=", "start"]
        )
        for target, script in self._places(name).items():
            if target.startswith("/docker-entrypoint-initdb.d/"):
                self._check(name, ["env", f"PGHOST={cluster}", str(script)])
        self._check(name, ["pg_ctl", "-D", str(cluster), "-w", "-s", "-m", "fast", "stop"])

    def _check(self, name: str, words: Sequence[str]) -> None:
        done = self.execute(name, words, within=120)
        if done.returncode:
            raise ServiceFailedError(f"{name}: {' '.join(words)}\n{done.stdout}{done.stderr}")


def _image(service: Service) -> str:
    return service.image.rpartition(":")[0]
