"""docker-compose.yml is held against the settings, the commands, the files and the rules of a deployment."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from dotenv import dotenv_values

from deploy.compose_file import ComposeFile, Service, UnsetError, read_compose_file, seconds, variables
from domain.hand_over import STOP_TIMEOUT
from settings import Settings, read_settings
from tests.deployment.commands import check_command
from tests.environment import alone

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker-compose.yml"
VARIABLES = list(variables(FILE.read_text()))
MUST_BE_SET = sorted({variable.name for variable in VARIABLES if variable.operator == ":?"})
SECRETS = {"CAMPAIGN_CLICK_URL": "https://go.example"}
COMPLETE = {name: f"{name.lower()}-{'x' * 32}" for name in MUST_BE_SET} | SECRETS
EXAMPLE = dotenv_values(ROOT / "deploy" / "env.example")

SETTINGS = {name.upper() for name in Settings.model_fields}
# Of the libraries: Amazon's, and uvicorn's.
NOT_OURS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "FORWARDED_ALLOW_IPS"}
# Temporal is the file's own, without TLS in a closed network; the API always asks for keys.
LEFT_OUT = {"TEMPORAL_API_KEY", "TEMPORAL_TLS", "API_KEYS_REQUIRED"}
OF_THE_API = {"API_HOST", "API_PORT"}
PUBLIC = {"mosquitto": ["8883:8883"]}


def read(**environment: str) -> ComposeFile:
    return read_compose_file(FILE, {**COMPLETE, **environment})


COMPOSE = read()
OURS = {name: service for name, service in COMPOSE.services.items() if service.image.startswith("drumbeat:")}


EACH_SERVICE = [pytest.param(service, id=name) for name, service in COMPOSE.services.items()]


@pytest.mark.parametrize("name", MUST_BE_SET)
def test_what_must_be_set_is_asked_for_and_stands_empty_in_the_example(name: str) -> None:
    with pytest.raises(UnsetError, match=rf"^{name}: set it in .env, see deploy/env.example$"):
        read(**{name: ""})
    assert EXAMPLE[name] == ""


def test_the_example_and_the_file_know_the_same_variables() -> None:
    used = {variable.name for variable in VARIABLES}
    assert set(EXAMPLE) <= used
    assert used <= set(EXAMPLE) | SETTINGS


def test_no_secret_has_a_default() -> None:
    secret = re.compile("PASSWORD|SECRET|KEY|TOKEN|CREDENTIALS")
    defaults = {v.name: v.word for v in VARIABLES if v.operator == ":-" and v.word and secret.search(v.name)}
    assert defaults == {"GOOGLE_APPLICATION_CREDENTIALS": "/dev/null"}  # a file, where there is none
    assert not any(EXAMPLE.values())


@pytest.mark.parametrize("name", OURS)
def test_every_setting_is_given_and_none_is_unknown(name: str) -> None:
    given = set(OURS[name].environment)
    wanted = SETTINGS - LEFT_OUT - (set() if name == "api" else OF_THE_API)
    assert given - NOT_OURS == wanted, "a new setting belongs into x-settings of docker-compose.yml, or into LEFT_OUT"


@pytest.mark.parametrize("name", OURS)
def test_the_settings_can_be_read(name: str, tmp_path: Path) -> None:
    with alone(tmp_path, OURS[name].environment):
        settings = read_settings()
    assert settings.api_keys_required
    assert settings.google_application_credentials is None
    assert settings.mqtt_url == f"mqtts://drumbeat:{COMPLETE['MQTT_PASSWORD']}@mosquitto:8884"


def test_credentials_of_fcm_are_mounted_where_the_setting_says() -> None:
    compose = read(GOOGLE_APPLICATION_CREDENTIALS="deploy/credentials/fcm.json")
    assert compose.secrets["google-service-account"].file == "deploy/credentials/fcm.json"
    assert compose.services["worker"].environment["GOOGLE_APPLICATION_CREDENTIALS"] == (
        f"/run/secrets/{compose.services['worker'].secrets[0]}"
    )


@pytest.mark.parametrize("name", OURS)
def test_every_command_exists(name: str) -> None:
    service = OURS[name]
    assert service.entrypoint is None
    check_command(service.command or [])
    if service.healthcheck and service.healthcheck.test[1] == "drumbeat":
        check_command(service.healthcheck.test[2:])


@pytest.mark.parametrize("service", EACH_SERVICE)
def test_every_image_is_pinned_by_its_version(service: Service) -> None:
    assert re.fullmatch(r"[\w./-]+:\d+\.\d+(\.\d+)?(-trixie)?", service.image)


def test_our_image_has_the_packages_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert {service.image for service in OURS.values()} == {f"drumbeat:{version}"}
    assert {service.build for service in OURS.values()} == {"."}


def test_temporals_server_and_tools_are_of_one_version() -> None:
    versions = {COMPOSE.services[name].image.rpartition(":")[2] for name in ("temporal", "temporal-schema")}
    assert versions == {COMPOSE.services["temporal-namespace"].image.rpartition(":")[2]}


@pytest.mark.parametrize("service", EACH_SERVICE)
def test_every_service_is_an_ordinary_user_without_a_way_to_more(service: Service) -> None:
    assert service.user.partition(":")[0] not in {"", "root", "0"}
    assert service.cap_drop == ["ALL"]
    assert service.security_opt == ["no-new-privileges:true"]
    assert service.logging.options["max-size"]


def test_every_service_has_a_health_check_or_is_a_job_that_others_wait_for() -> None:
    conditions = {
        (name, wanted.condition) for service in COMPOSE.services.values() for name, wanted in service.depends_on.items()
    }
    for name, service in COMPOSE.services.items():
        assert (service.healthcheck is None) == service.is_job
        if service.is_job:
            assert (name, "service_completed_successfully") in conditions
            assert (name, "service_healthy") not in conditions


def test_worker_and_api_wait_for_the_migration_and_the_namespace() -> None:
    for name in ("worker", "api"):
        waits_for = COMPOSE.services[name].depends_on
        for job in ("migrate", "temporal-namespace"):
            assert waits_for[job].condition == "service_completed_successfully"
        assert waits_for["mosquitto"].condition == "service_healthy"


def test_a_worker_has_the_time_to_finish_its_sends() -> None:
    assert seconds(COMPOSE.services["worker"].stop_grace_period) >= STOP_TIMEOUT.total_seconds()


@pytest.mark.parametrize("name", COMPOSE.services)
def test_ports_are_published_on_loopback_alone(name: str) -> None:
    ports = COMPOSE.services[name].ports
    assert ports == PUBLIC.get(name, [port for port in ports if port.startswith("127.0.0.1:")])


def test_temporal_and_the_database_are_in_a_closed_network() -> None:
    assert COMPOSE.networks["back"].internal
    for name in ("postgres", "temporal", "temporal-schema", "temporal-namespace"):
        assert COMPOSE.services[name].networks == ["back"]
    assert COMPOSE.services["mosquitto"].networks == ["front"]


def test_a_proxy_on_this_host_is_believed() -> None:
    plan = COMPOSE.networks["front"].ipam
    assert plan
    assert COMPOSE.services["api"].environment["FORWARDED_ALLOW_IPS"] == plan.config[0].subnet


def test_temporal_and_drumbeat_have_users_of_their_own() -> None:
    temporal, drumbeat = COMPOSE.services["temporal"].environment, OURS["worker"].environment["DATABASE_URL"]
    assert temporal["POSTGRES_USER"] == COMPOSE.services["temporal-schema"].environment["SQL_USER"] == "temporal"
    assert temporal["POSTGRES_PWD"] == COMPLETE["TEMPORAL_DATABASE_PASSWORD"]
    assert drumbeat == f"postgresql://drumbeat:{COMPLETE['DRUMBEAT_DATABASE_PASSWORD']}@postgres:5432/drumbeat"
    script = (ROOT / "deploy/postgres/create-databases.sh").read_text()
    assert re.findall(r"CREATE DATABASE (\w+) OWNER (\w+)", script) == [
        ("temporal", "temporal"),
        ("temporal_visibility", "temporal"),
        ("drumbeat", "drumbeat"),
    ]


def test_every_namespace_is_the_one_that_is_made() -> None:
    named = {service.environment.get("TEMPORAL_NAMESPACE") for service in COMPOSE.services.values()} - {None}
    assert named == {COMPOSE.services["temporal-ui"].environment["TEMPORAL_DEFAULT_NAMESPACE"]}


def test_every_name_that_a_service_uses_is_declared() -> None:
    for service in COMPOSE.services.values():
        assert set(service.networks) <= set(COMPOSE.networks)
        assert set(service.secrets) <= set(COMPOSE.secrets)
        assert {mount.source for mount in service.volumes if mount.type == "volume"} <= set(COMPOSE.volumes)
        assert set(service.depends_on) <= set(COMPOSE.services)


def bound_files() -> set[tuple[str, bool]]:
    """(path in the repository, whether it must be made first)."""
    mounts = [mount for service in COMPOSE.services.values() for mount in service.volumes if mount.type == "bind"]
    assert all(mount.read_only for mount in mounts)
    return {(mount.source, mount.bind is not None and not mount.bind.create_host_path) for mount in mounts}


def test_every_mounted_file_is_there_or_is_made_by_the_documented_script(certificates: Path) -> None:
    there = {source for source, is_made in bound_files() if not is_made}
    made = {source for source, is_made in bound_files() if is_made}
    assert all((ROOT / source).is_file() for source in there)
    assert {source.removeprefix("./deploy/certificates/") for source in made} == {"ca.crt", "broker.crt", "broker.key"}
    assert all((certificates / Path(source).name).is_file() for source in made)


def test_every_script_that_a_service_runs_is_mounted_into_it() -> None:
    for service in COMPOSE.services.values():
        words = [*(service.entrypoint or []), *(service.healthcheck.test if service.healthcheck else [])]
        words += service.environment.values()
        named = {word for word in words if word.startswith("/deploy/")}
        assert named <= {mount.target for mount in service.volumes}


@pytest.mark.parametrize("script", sorted(ROOT.glob("deploy/**/*.sh")), ids=lambda script: script.name)
def test_every_script_is_executable_and_a_shell_can_read_it(script: Path) -> None:
    assert script.stat().st_mode & 0o100
    assert subprocess.run(["/bin/sh", "-n", str(script)], check=False).returncode == 0  # noqa: S603 - our own


def test_what_the_broker_reads_is_mounted_into_it() -> None:
    configuration = (ROOT / "deploy/mosquitto/mosquitto.conf").read_text()
    named = set(re.findall(r"^\w+ (/mosquitto/\S+)$", configuration, re.MULTILINE))
    targets = [mount.target for mount in COMPOSE.services["mosquitto"].volumes]
    assert len(named) == 6
    assert all(any(name == target or name.startswith(f"{target}/") for target in targets) for name in named)


@pytest.mark.skipif(not (ROOT / ".git").exists() or not shutil.which("git"), reason="not a clone, or git is not here")
def test_git_keeps_no_key_and_no_credentials() -> None:
    for path in ("deploy/certificates/ca.key", "deploy/certificates/broker.key", "deploy/credentials/fcm.json", ".env"):
        command = ["git", "check-ignore", "--quiet", path]
        assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0, path  # noqa: S603 - ours


def test_a_word_that_compose_would_not_know_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "docker-compose.yml"
    file.write_text(FILE.read_text().replace("    stop_grace_period: 60s\n", "    stop_grace: 60s\n"))
    with pytest.raises(ValueError, match="stop_grace"):
        read_compose_file(file, COMPLETE)
