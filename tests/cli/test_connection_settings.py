"""Settings as people give them: put in by path, read strictly, told without secrets; dangers are seen."""

from pathlib import Path

import msgspec
import pytest

from cli.connection_changes import Person, Proposal, addition, edition, rotation
from cli.connection_settings import (
    Difference,
    Settings,
    Unfit,
    differences,
    differences_told,
    settings_from,
    settings_of,
    told,
    with_values,
)
from storage.connections import ConnectionRow

DIGEST = "0123456789abcdef" * 4
ANNA = Person(who="anna", why="contract 7")


def row(name: str = "qiwi", dialect: str = "osmp", **settings: object) -> ConnectionRow:
    """A stored connection."""
    text = msgspec.json.encode({"source": name, "basic_login": name} | settings).decode()
    return ConnectionRow(name, dialect, active=True, settings=text, version=1)


def edit(before: ConnectionRow, *others: ConnectionRow, **settings: object) -> Proposal:
    """Propose other settings for a connection."""
    return edition([before, *others], before.connection, settings_of(before) | settings, ANNA)


@pytest.mark.parametrize(
    ("assignments", "changed"),
    [
        (["amount_kopecks_max=100"], {"amount_kopecks_max": 100}),
        (["basic_login=qiwi"], {"basic_login": "qiwi"}),
        (['basic_login="123"'], {"basic_login": "123"}),
        (["basic_login=a=b"], {"basic_login": "a=b"}),
        (
            ["terms.status=true", "terms.channel=kiosk"],
            {"terms": {"cents_exact": True, "status": True, "channel": "kiosk"}},
        ),
        (["terms.codes.5=20"], {"terms": {"cents_exact": True, "codes": {"5": 20}}}),
        (['allow_networks=["10.0.0.0/8"]'], {"allow_networks": ["10.0.0.0/8"]}),
        (["commission=null"], {"commission": None}),
    ],
)
def test_values_are_put_in_by_their_paths(assignments: list[str], changed: Settings) -> None:
    before = {"source": "x", "terms": {"cents_exact": True}}
    assert with_values(before, assignments) == before | changed
    assert before == {"source": "x", "terms": {"cents_exact": True}}, "what was there is not touched"


@pytest.mark.parametrize("assignment", ["source", "=1", "terms.=1", ".a=1", "source.deep=1", "active=false", "name=x"])
def test_an_assignment_that_is_none_is_refused(assignment: str) -> None:
    with pytest.raises(Unfit):
        with_values({"source": "x"}, [assignment])


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '{"name": "x"}', "[" * 100_000, '{"source": "\\ud800"}'])
def test_a_file_that_holds_no_settings_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "terms.json"
    file.write_text(text)
    with pytest.raises(Unfit):
        settings_from(file)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unfit, match=r"terms\.json"):
        settings_from(tmp_path / "terms.json")


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"allow_network": []}, "allow_network"),
        ({"terms": {"chanel": "kiosk"}}, "chanel"),
        ({"commission": {"mode": "withheld", "rate_bp": 1, "x": 1}}, r"commission\.x"),
        ({"allow_networks": [], "basic_login": ""}, "anybody could use it"),
        ({"allow_networks": ["10.0.0.1/8"]}, "10.0.0.1/8"),
        ({"allow_networks": "10.0.0.0/8"}, "allow_networks"),
        ({"amount_kopecks_max": 15.5}, "amount_kopecks_max"),
        ({"scopes": ["everything"]}, "scopes"),
        ({"source": None}, "source"),
        ({"basic_password_sha256": "the password itself"}, "never a key or password"),
        ({"api_keys_sha256": [DIGEST, "key"]}, "never a key or password"),
    ],
)
def test_settings_that_do_not_fit_are_refused_with_their_name(settings: Settings, what: str) -> None:
    with pytest.raises(Unfit, match=what):
        edit(row(), **settings)


def test_what_was_stored_with_columns_among_its_settings_can_still_be_edited() -> None:
    before = ConnectionRow("old", "json", True, '{"source":"old","name":"","dialect":"json","active":true}', 1)
    assert [change.path for change in edit(before, scopes=["pay"]).differences] == ["scopes"]


@pytest.mark.parametrize("stored", ["", "null", "{", "[1]"])
def test_an_unreadable_connection_is_repaired_by_giving_its_settings(stored: str) -> None:
    proposal = edit(ConnectionRow("x", "json", True, stored, 3), source="x", scopes=["read"])
    assert msgspec.json.decode(proposal.change.row.settings) == {"source": "x", "scopes": ["read"]}


def test_no_secret_is_told() -> None:
    secret = "canary-0badc0de"
    settings: Settings = {
        "api_keys_sha256": [secret, secret],
        "basic_password_sha256": secret,
        "terms": {"show": 1},
    }
    tale = told(row(**settings))
    assert secret not in tale
    assert msgspec.json.decode(tale)["settings"]["terms"]["show"] == 1
    proposal = edit(row(), basic_login="q", basic_password_sha256=DIGEST)
    assert DIGEST not in msgspec.json.encode(proposal.differences).decode()
    assert DIGEST not in (proposal.change.before or "") + proposal.change.after


def test_a_secret_is_seen_to_change() -> None:
    before = row(basic_login="q", basic_password_sha256=DIGEST)
    changed = {change.path for change in edit(before, basic_password_sha256=DIGEST[::-1]).differences}
    assert changed == {"basic_password_sha256"}


def test_the_trail_tells_what_a_change_changed() -> None:
    before, after = row(scopes=["pay"], terms={"status": True}), row(scopes=["read"], terms={})
    assert differences_told(told(before), told(after)) == [
        Difference("scopes", ["pay"], ["read"]),
        Difference("terms.status", True, None),
        Difference("terms", None, {}),
    ]
    assert differences_told(None, "{}") == [], "of one that was there before the trail nothing is told"


@pytest.mark.parametrize(
    ("before", "settings", "danger"),
    [
        ({"allow_networks": ["10.0.0.0/8"]}, {"allow_networks": []}, "every address"),
        ({"allow_networks": ["10.0.0.0/8"]}, {"allow_networks": ["10.0.0.0/8", "0.0.0.0/0"]}, "every address"),
        ({"allow_networks": ["10.0.0.0/8"]}, {"allow_networks": ["::/0"]}, "every address"),
        ({}, {"trusted_proxies": ["0.0.0.0/0"]}, "name its own address"),
        ({}, {"source": "new"}, "count again"),
        ({}, {"source": "neighbour"}, "neighbour has the same source"),
    ],
)
def test_a_dangerous_change_is_seen(before: Settings, settings: Settings, danger: str) -> None:
    dangers = edit(row(**before), row("neighbour"), **settings).dangers
    assert any(danger in told_danger for told_danger in dangers)


@pytest.mark.parametrize(
    ("before", "settings"),
    [
        ({}, {"amount_kopecks_max": 5}),
        ({}, {"allow_networks": ["10.0.0.0/8"]}),
        ({"allow_networks": ["10.0.0.0/8"]}, {"allow_networks": ["10.0.0.0/7"]}),
        ({"allow_networks": []}, {"allow_networks": ["0.0.0.0/0"]}),
        ({"trusted_proxies": ["0.0.0.0/0"]}, {"scopes": ["pay"]}),
    ],
)
def test_a_harmless_change_is_not_called_dangerous(before: Settings, settings: Settings) -> None:
    assert edit(row(**before), row("neighbour"), **settings).dangers == ()


@pytest.mark.parametrize("field", [{"basic_login": "q"}, {"api_keys_sha256": [DIGEST]}])
def test_two_connections_share_no_key_and_no_login(field: Settings) -> None:
    with pytest.raises(Unfit, match="neighbour's already"):
        edit(row(), row("neighbour", **field), **field)


@pytest.mark.parametrize("name", ["", "a b", "../x", "касса", "x" * 65, "-x", "a\n"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(Unfit, match="name"):
        addition([], name, "json", {}, ANNA)


@pytest.mark.parametrize("texts", [{"who": ""}, {"who": " "}, {"who": "a\nb"}, {"why": "\x1b[2J"}, {"why": "x" * 501}])
def test_a_trail_keeps_one_printable_line_of_somebody(texts: dict[str, str]) -> None:
    with pytest.raises(Unfit, match="--wh"):
        Person(**{"who": "anna"} | texts)


@pytest.mark.parametrize("dialect", ["json", "osmp"])
def test_a_rotation_has_two_valid_secrets_then_one(dialect: str) -> None:
    first = addition([], "x", dialect, {}, ANNA)
    second = rotation([first.change.row], "x", ANNA, finish=False)
    with pytest.raises(Unfit, match="--finish"):
        rotation([second.change.row], "x", ANNA, finish=False)
    third = rotation([second.change.row], "x", ANNA, finish=True)
    digests = [len(set(_digests(proposal))) for proposal in (first, second, third)]
    assert digests == [1, 2, 1]
    assert set(_digests(third)) == set(_digests(second)) - set(_digests(first))
    assert third.secrets == {}
    with pytest.raises(Unfit, match="only one"):
        rotation([third.change.row], "x", ANNA, finish=True)


def _digests(proposal: Proposal) -> list[str]:
    settings = msgspec.json.decode(proposal.change.row.settings)
    names = ("basic_password_sha256", "basic_password_old_sha256")
    return [*settings.get("api_keys_sha256", []), *(settings[name] for name in names if name in settings)]


def test_what_a_sender_brought_itself_is_kept() -> None:
    proposal = addition([], "x", "json", {"api_keys_sha256": [DIGEST]}, ANNA)
    assert (proposal.secrets, _digests(proposal)) == ({}, [DIGEST])


def test_a_word_that_a_protocol_computes_with_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateways.connections.secrets_of_all", lambda: frozenset({"word"}))
    before, after = row(terms={"word": "canary-1"}), row(terms={"word": "canary-2"})
    assert "canary" not in told(before)
    assert differences(before, after) == [Difference("terms.word", "***", "***")], "but it is seen to change"
