"""How every store is opened and refused; see ``store``."""

from __future__ import annotations

import json
from typing import Any

import pytest

from holdfast.errors import OperatorError
from holdfast.journal import Store, open_store
from holdfast.model.execution import Execution
from holdfast.testing.contracts.store import KEY, Place, StoreFixtures, in_processes, started


class OpeningContract(StoreFixtures):
    """Opening, keys, schema versions."""

    def test_what_was_written_is_there_after_reopening(self, store: Store, place: Place) -> None:
        writer = started(store)
        writer.append("note", {"n": 1}, once="o")
        before = (store.header("e"), store.read("e"))
        store.close()
        again = open_store(place.url, key=KEY)
        assert (again.header("e"), again.read("e")) == before
        assert again.key == KEY
        again.close()

    def test_looking_makes_nothing(self, place: Place, tmp_path: Any) -> None:
        before = sorted(tmp_path.rglob("*"))
        for _ in range(2):
            with pytest.raises(OperatorError) as caught:
                open_store(place.url, key_file=tmp_path / "holdfast.key", create=False)
            assert caught.value.code == "HF227"
        assert sorted(tmp_path.rglob("*")) == before

    def test_a_key_file_is_made_with_the_journal_and_kept(self, place: Place, tmp_path: Any) -> None:
        file = tmp_path / "keys" / "holdfast.key"
        first = open_store(place.url, key_file=file)
        assert file.stat().st_mode & 0o777 == 0o600
        assert len(first.key) == 32
        first.close()
        second = open_store(place.url, key_file=file)
        assert second.key == first.key
        second.close()

    def test_another_key_is_refused(self, store: Store, place: Place, tmp_path: Any) -> None:
        for options in ({"key": b"x" * 32}, {"key_file": _key_file(tmp_path / "other", b"x" * 32)}):
            for _ in range(2):
                with pytest.raises(OperatorError) as caught:
                    open_store(place.url, **options)
                assert caught.value.code == "HF225"
        open_store(place.url, key_file=_key_file(tmp_path / "right", KEY)).close()

    def test_a_missing_key_is_never_made_anew(self, store: Store, place: Place, tmp_path: Any) -> None:
        file = tmp_path / "lost.key"
        with pytest.raises(OperatorError) as caught:
            open_store(place.url, key_file=file)
        assert caught.value.code == "HF226"
        assert not file.exists()

    @pytest.mark.parametrize("text", [b"", b"zz" * 32, b"ab" * 31, b"\xff" * 64])
    def test_what_is_no_key_is_refused(self, place: Place, tmp_path: Any, text: bytes) -> None:
        file = tmp_path / "bad.key"
        file.write_bytes(text)
        with pytest.raises(OperatorError) as caught:
            open_store(place.url, key_file=file)
        assert caught.value.code == "HF226"
        with pytest.raises(OperatorError):
            open_store(place.url, key=b"short")

    def test_a_newer_journal_is_refused_unchanged(self, store: Store, place: Place) -> None:
        started(store)
        store.close()
        place.age(99)
        for create in (True, False):
            with pytest.raises(OperatorError) as caught:
                open_store(place.url, key=KEY, create=create)
            assert caught.value.code == "HF223"
            assert "99" in str(caught.value)

    def test_first_openers_do_not_disturb_each_other(self, place: Place, tmp_path: Any) -> None:
        script = (
            "READY\nstore = open_store(url, key_file=arguments[1])\n"
            "store.create(Execution(id=f'e{arguments[0]}', runbook='r'), [Draft(kind='note')])\n"
            "print(json.dumps(store.key.hex()))\n"
        )
        keys = in_processes(place, script, *([n, str(tmp_path / "holdfast.key")] for n in range(4)))
        assert len(set(keys)) == 1
        store = open_store(place.url, key_file=tmp_path / "holdfast.key")
        assert len(store.headers()) == 4
        store.close()

    def test_closing_twice_is_harmless(self, place: Place) -> None:
        store = open_store(place.url, key=KEY)
        store.create(Execution(id="e", runbook="r"))
        store.close()
        store.close()

    def test_errors_show_no_password(self) -> None:
        with pytest.raises(OperatorError) as caught:
            open_store("mysql://root:hunter2@localhost/x", key=KEY)
        assert caught.value.code == "HF220"
        assert "hunter2" not in json.dumps(caught.value.to_dict())


def _key_file(path: Any, key: bytes) -> Any:
    path.write_text(key.hex() + "\n")
    return path
