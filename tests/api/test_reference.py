import re

from fastapi.testclient import TestClient

from api.refusals import all_kinds


def test_the_reference_lists_every_route_and_every_problem(api: TestClient) -> None:
    text = api.get("/docs").text

    for path in api.get("/openapi.json").json()["paths"]:
        assert f"<code>{path}</code>" in text
    for kind in all_kinds():
        assert f'id="{kind.word}"' in text


def test_the_pages_need_nothing_from_elsewhere(api: TestClient) -> None:
    for url in ("/", "/docs", "/c/forged", "/?event=click"):
        text = api.get(url).text
        assert not re.search(r"""(?:src|href)=["'](?:https?:)?//""", text)
        assert "<script" not in text
        for asset in re.findall(r'href="(/assets/[^"]+)"', text):
            assert api.get(asset).status_code == 200


def test_the_description_is_whole(api: TestClient) -> None:
    described = api.get("/openapi.json").json()

    names = {tag["name"] for tag in described["tags"]}
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            assert set(operation["tags"]) <= names, where
            assert operation["description"], where
    referred = set(re.findall(r'"#/components/schemas/(\w+)"', api.get("/openapi.json").text))
    assert referred <= set(described["components"]["schemas"])
    assert "HTTPValidationError" not in described["components"]["schemas"]


def test_what_is_sent_has_an_example(api: TestClient) -> None:
    text = api.get("/docs").text

    for field in ("received_at", "stale_after_days", "up_to"):
        assert f"&#34;{field}&#34;" in text
