"""The simulator, held against the real firebase-admin client as it comes, and against plain requests."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from uuid import uuid4

import firebase_admin
import pytest
import requests
from firebase_admin import credentials, messaging
from google.auth.transport.requests import Request
from google.oauth2 import service_account

from sandbox.fcm import AcceptedPush, Fault, FcmSimulator
from sandbox.fcm.service_account import PROJECT, ServiceAccount

SEND_URL = f"https://fcm.googleapis.com/v1/projects/{PROJECT}/messages:send"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
Post = Callable[..., requests.Response]


@pytest.fixture
def simulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FcmSimulator]:
    with FcmSimulator(tmp_path, slow_seconds=0.3, retry_after="7") as running:
        for name, setting in running.environment.items():
            monkeypatch.setenv(name, setting)
        yield running


@pytest.fixture
def post(simulator: FcmSimulator) -> Iterator[Post]:
    """Posts one message, or any body, with a token of the simulator's own account."""
    authorization = f"Bearer {signed_by(Path(simulator.environment['GOOGLE_APPLICATION_CREDENTIALS']))}"
    with requests.Session() as session:

        def post_one(
            message: object = None, *, body: object = None, url: str = SEND_URL, authorization: str = authorization
        ) -> requests.Response:
            headers = {"Authorization": authorization}
            return session.post(url, json.dumps(body or {"message": message}), headers=headers, timeout=5)

        yield post_one


@pytest.fixture
def real_client(simulator: FcmSimulator) -> Iterator[firebase_admin.App]:
    certificate = credentials.Certificate(simulator.environment["GOOGLE_APPLICATION_CREDENTIALS"])
    app = firebase_admin.initialize_app(certificate, name=f"test-{uuid4()}")
    yield app
    session = messaging._get_messaging_service(app)._client.session
    firebase_admin.delete_app(app)
    session.close()


def signed_by(account: Path, scope: str = SCOPE) -> str:
    signer = service_account.Credentials.from_service_account_file(  # type: ignore[no-untyped-call] # half typed
        str(account), scopes=[scope]
    )
    signer.refresh(Request())
    return str(signer.token)


def a_message(address: str = "phone-1:APA91b", **fields: object) -> dict[str, object]:
    return {"token": address, "notification": {"title": "Battery", "body": "Please check"}, **fields}


def test_the_real_client_as_it_comes_is_understood(simulator: FcmSimulator, real_client: firebase_admin.App) -> None:
    push = messaging.Message(
        fid="cnXn9tKgTQKoBQ-zRnT_0v",
        notification=messaging.Notification("Battery", "Please check"),
        data={"message_id": "m-1", "dedupe_id": "d-1"},
        android=messaging.AndroidConfig(ttl=300, collapse_key="d-1"),
        apns=messaging.APNSConfig(headers={"apns-collapse-id": "d-1"}),
    )
    name = messaging.send(push, app=real_client)
    (accepted,) = simulator.accepted
    assert accepted.name == name
    assert (accepted.token, accepted.message_id, accepted.dedupe_id) == ("cnXn9tKgTQKoBQ-zRnT_0v", "m-1", "d-1")
    assert (accepted.title, accepted.body, accepted.ttl_seconds) == ("Battery", "Please check", 300)
    assert (accepted.collapse_key, accepted.apns_headers) == ("d-1", {"apns-collapse-id": "d-1"})


@pytest.mark.parametrize(
    ("word", "error"),
    [
        ("dead", messaging.UnregisteredError),
        ("mismatch", messaging.SenderIdMismatchError),
        ("denied", messaging.ThirdPartyAuthError),
    ],
)
def test_the_real_client_reads_the_error_that_was_meant(
    simulator: FcmSimulator, real_client: firebase_admin.App, word: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        messaging.send(messaging.Message(fid=f"phone-{word}"), app=real_client)
    assert simulator.accepted == []


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault.DEAD, 404),
        (Fault.MISMATCH, 403),
        (Fault.QUOTA, 429),
        (Fault.INVALID, 400),
        (Fault.DENIED, 401),
        (Fault.ERROR500, 500),
        (Fault.ERROR502, 502),
        (Fault.BUSY503, 503),
    ],
)
def test_a_fault_that_refuses_accepts_nothing(simulator: FcmSimulator, post: Post, fault: Fault, status: int) -> None:
    assert post(a_message(f"tok-{fault}:1")).status_code == status
    assert simulator.accepted == []
    assert simulator.outcomes == {fault: 1}


def test_a_quota_error_says_when_to_come_back(post: Post) -> None:
    assert post(a_message("tok-quota:1")).headers["Retry-After"] == "7"


@pytest.mark.parametrize("fault", [Fault.SLOW, Fault.DRIBBLE, Fault.GARBAGE])
def test_a_fault_that_accepts_answers_all_the_same(simulator: FcmSimulator, post: Post, fault: Fault) -> None:
    answer = post(a_message(f"tok-{fault}:1"))
    assert answer.status_code == HTTPStatus.OK
    assert ("name" in answer.text) == (fault is not Fault.GARBAGE)
    assert [push.token for push in simulator.accepted] == [f"tok-{fault}:1"]


def test_a_cut_comes_after_the_push_was_accepted(simulator: FcmSimulator, post: Post) -> None:
    with pytest.raises(requests.ConnectionError):
        post(a_message("tok-cut:1"))
    assert [push.token for push in simulator.accepted] == ["tok-cut:1"]


def test_the_random_part_of_a_token_meets_no_fault(simulator: FcmSimulator, post: Post) -> None:
    assert post(a_message("phone:APAdeadcutHANGslow")).ok
    assert simulator.outcomes == {"ok": 1}


def test_an_address_can_be_made_to_fail_a_few_times_and_then_works(simulator: FcmSimulator, post: Post) -> None:
    simulator.fail("phone-7", Fault.BUSY503, times=2)
    assert [post(a_message("phone-7:a")).status_code for _ in range(3)] == [503, 503, 200]
    assert post(a_message("phone-8:a")).status_code == HTTPStatus.OK


def test_an_address_fails_until_it_is_healed(simulator: FcmSimulator, post: Post) -> None:
    simulator.fail(":", Fault.ERROR500)
    assert [post(a_message()).status_code for _ in range(2)] == [500, 500]
    simulator.heal(":")
    assert post(a_message()).status_code == HTTPStatus.OK


def test_the_newest_command_counts(simulator: FcmSimulator, post: Post) -> None:
    simulator.fail("phone", Fault.ERROR500)
    simulator.fail("phone", Fault.DEAD, times=1)
    assert [post(a_message()).status_code for _ in range(2)] == [404, 500]


@pytest.mark.parametrize(
    "authorization",
    ["", "Basic YTpi", "Bearer not-a-token", "Bearer eyJhbGciOiJub25lIn0.eyJzY29wZSI6ImEifQ."],
)
def test_only_our_own_token_opens_the_door(simulator: FcmSimulator, post: Post, authorization: str) -> None:
    assert post(a_message(), authorization=authorization).status_code == HTTPStatus.UNAUTHORIZED
    assert simulator.accepted == []


def test_a_token_of_another_account_or_for_another_purpose_is_refused(
    simulator: FcmSimulator, post: Post, tmp_path: Path
) -> None:
    (elsewhere := tmp_path / "elsewhere").mkdir()
    own = Path(simulator.environment["GOOGLE_APPLICATION_CREDENTIALS"])
    tokens = [
        signed_by(ServiceAccount(elsewhere).file),
        signed_by(own, "https://www.googleapis.com/auth/devstorage.read_only"),
    ]
    for token in tokens * 2:
        assert post(a_message(), authorization=f"Bearer {token}").status_code == HTTPStatus.UNAUTHORIZED


def test_another_project_is_not_found(post: Post) -> None:
    url = SEND_URL.replace(PROJECT, "someone-elses")
    assert post(a_message(), url=url).status_code == HTTPStatus.NOT_FOUND


@pytest.mark.parametrize(
    ("message", "blamed"),
    [
        ({"notification": {"title": "to nobody"}}, "message"),
        (a_message(fid="cnXn9tKgTQKoBQ-zRnT_0v"), "message"),
        (a_message(data={"count": 3}), "message.data.count"),
        (a_message(data={"google.reserved": "x"}), "message.data.google.reserved.[key]"),
        (a_message(android={"ttl": 300}), "message.android.ttl"),
        (a_message(android={"ttl": "300"}), "message.android.ttl"),
        (a_message(to="phone"), "message.to"),
        (a_message(""), "message.token"),
    ],
)
def test_a_malformed_message_is_refused_and_the_field_named(
    simulator: FcmSimulator, post: Post, message: object, blamed: str
) -> None:
    answer = post(message)
    assert answer.status_code == HTTPStatus.BAD_REQUEST
    fcm_error, bad_request = answer.json()["error"]["details"]
    assert fcm_error["errorCode"] == "INVALID_ARGUMENT"
    assert bad_request["fieldViolations"][0]["field"] == blamed
    assert simulator.accepted == []


def test_the_limit_counts_bytes_and_not_characters(simulator: FcmSimulator, post: Post) -> None:
    assert post(a_message(data={"text": "x" * 3900})).ok
    answer = post(a_message(data={"text": "ক" * 1400}))
    assert answer.status_code == HTTPStatus.BAD_REQUEST
    assert "too big" in answer.json()["error"]["message"]


def test_a_dry_run_is_checked_and_not_accepted(simulator: FcmSimulator, post: Post) -> None:
    assert post(body={"message": a_message(), "validate_only": True}).ok
    assert simulator.accepted == []


def test_a_device_hears_of_a_push_before_the_sender_does(simulator: FcmSimulator, post: Post) -> None:
    heard: list[AcceptedPush] = []
    end = simulator.on_accepted(heard.append)
    post(a_message())
    assert heard == simulator.accepted
    end()
    post(a_message())
    assert len(heard) == 1


def test_a_record_says_when_the_request_had_arrived(simulator: FcmSimulator, post: Post) -> None:
    before = datetime.now(UTC)
    post(a_message("tok-slow:1"))
    (push,) = simulator.accepted
    assert before <= push.arrived_at <= datetime.now(UTC)
    assert (datetime.now(UTC) - push.arrived_at).total_seconds() >= 0.3


def test_other_hosts_cannot_be_reached(simulator: FcmSimulator) -> None:
    with pytest.raises(requests.exceptions.ProxyError):
        requests.get("https://oauth2.sandbox.invalid/token", timeout=5)
    assert simulator.refused_hosts == ["oauth2.sandbox.invalid:443"]


def test_it_stops_while_a_request_hangs_and_leaves_no_thread(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with ThreadPoolExecutor(1) as caller:
        with FcmSimulator(tmp_path) as simulator:
            hanging = caller.submit(post_to, simulator, a_message("phone-hang:1"))
            simulator.wait_for(Fault.HANG)
        assert isinstance(hanging.exception(timeout=5), requests.ConnectionError)
    assert set(threading.enumerate()) <= before


def test_a_provider_may_be_away_for_a_while(tmp_path: Path) -> None:
    simulator = FcmSimulator(tmp_path)
    with simulator:
        assert post_to(simulator, a_message()).ok
    with pytest.raises(requests.ConnectionError):
        post_to(simulator, a_message())
    with simulator:
        assert post_to(simulator, a_message()).ok
    assert len(simulator.accepted) == 2


def post_to(simulator: FcmSimulator, message: object) -> requests.Response:
    """Without the process's environment: one message, by a client of its own."""
    environment = simulator.environment
    token = signed_by(Path(environment["GOOGLE_APPLICATION_CREDENTIALS"]))
    with requests.Session() as session:
        session.trust_env = False
        session.proxies = {"https": environment["HTTPS_PROXY"]}
        session.verify = environment["REQUESTS_CA_BUNDLE"]
        headers = {"Authorization": f"Bearer {token}"}
        return session.post(SEND_URL, json.dumps({"message": message}), headers=headers, timeout=30)


def test_what_it_writes_is_a_whole_environment(simulator: FcmSimulator, tmp_path: Path) -> None:
    account = json.loads(Path(simulator.environment["GOOGLE_APPLICATION_CREDENTIALS"]).read_text())
    assert account["project_id"] == PROJECT
    assert {file.name for file in tmp_path.iterdir()} == {
        "ca.pem",
        "fcm.googleapis.com.pem",
        "service-account.json",
    }
    assert (tmp_path / "service-account.json").stat().st_mode & 0o077 == 0
