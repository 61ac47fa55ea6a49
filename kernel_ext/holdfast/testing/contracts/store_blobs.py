"""What every ``BlobStore`` must do; see ``store``."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from blake3 import blake3

from holdfast.errors import LookupFailedError, StoreError
from holdfast.journal import Store, open_store
from holdfast.testing.contracts.store import KEY, Place, StoreFixtures, all_at_once, in_processes, started

MIB = 1024 * 1024
SIZES = [0, 1, 127, 128, 5000, 65_535, 65_536, 65_537, MIB - 1, MIB, MIB + 1, 3 * MIB + 17]


class BlobsContract(StoreFixtures):
    """Blobs: round trip, verification, mapping, durability."""

    @pytest.mark.parametrize("compress", [True, False])
    @pytest.mark.parametrize("size", SIZES)
    def test_bytes_come_back(self, store: Store, place: Place, size: int, compress: bool) -> None:
        for data in (os.urandom(size), b"ab" * (size // 2) + b"c" * (size % 2)):
            address = store.blobs.put(data, compress=compress)
            assert len(address) == 32
            assert bytes(store.blobs.get(address)) == data  # before it is durable
            store.blobs.sync()
            assert bytes(store.blobs.get(address)) == data
            other = open_store(place.url, key=KEY)
            assert bytes(other.blobs.get(address)) == data
            other.close()

    def test_any_buffer(self, store: Store) -> None:
        data = os.urandom(200_000)
        addresses = {store.blobs.put(kind) for kind in (data, bytearray(data), memoryview(data), memoryview(data).cast("I"))}
        assert len(addresses) == 1
        assert bytes(store.blobs.get(addresses.pop())) == data

    def test_the_address_is_keyed(self, store: Store) -> None:
        assert store.blobs.put(b"x") == blake3(b"x", key=KEY).digest()

    def test_the_same_bytes_are_kept_once(self, store: Store, place: Place) -> None:
        data = os.urandom(300_000)
        first = store.blobs.put(data)
        store.blobs.sync()
        assert store.blobs.put(data) == first
        store.blobs.sync()
        place.damage(first, "flip")
        with pytest.raises(StoreError):
            store.blobs.get(first)  # there is no second copy

    def test_an_append_makes_blobs_durable(self, store: Store, place: Place) -> None:
        writer = started(store)
        small, large = store.blobs.put(b"s" * 100), store.blobs.put(os.urandom(MIB))
        writer.append("note", {"blobs": [small, large]})
        other = open_store(place.url, key=KEY)
        assert len(other.blobs.get(small)) == 100
        assert len(other.blobs.get(large)) == MIB
        other.close()

    def test_missing(self, store: Store, place: Place) -> None:
        with pytest.raises(LookupFailedError) as caught:
            store.blobs.get(b"\0" * 32)
        assert caught.value.code == "HF604"
        address = store.blobs.put(b"x" * 1000)
        store.blobs.sync()
        place.forget(address)
        asks: list[Callable[[], object]] = [lambda: store.blobs.get(address), lambda: store.blobs.map([address], [1000])]
        for ask in asks:
            with pytest.raises(LookupFailedError):
                ask()

    @pytest.mark.parametrize("how", ["flip", "truncate", "remove"])
    @pytest.mark.parametrize("size", [1000, 100_000, 2 * MIB + 5])
    @pytest.mark.parametrize("compress", [True, False])
    def test_harm_is_noticed(self, store: Store, place: Place, how: str, size: int, compress: bool) -> None:
        data = (os.urandom(50) * (size // 50 + 1))[:size] if compress else os.urandom(size)
        address = store.blobs.put(data, compress=compress)
        store.blobs.sync()
        place.damage(address, how)
        other = open_store(place.url, key=KEY)
        asks: list[Callable[[], object]] = [lambda: other.blobs.get(address), lambda: other.blobs.map([address], [size])]
        for ask in asks:
            with pytest.raises((StoreError, LookupFailedError)) as caught:
                ask()
            assert caught.value.code == ("HF604" if isinstance(caught.value, LookupFailedError) else "HF510")
        other.close()

    def test_a_blob_passed_off_as_another(self, store: Store) -> None:
        address = store.blobs.put(b"x" * MIB, compress=False)
        store.blobs.sync()
        with pytest.raises(StoreError) as caught:
            store.blobs.map([address], [MIB - 1])
        assert caught.value.code == "HF510"

    @pytest.mark.parametrize("last", [MIB, 1, 4096, 70_000, MIB - 1])
    def test_mapping_is_private_and_writable(self, store: Store, last: int) -> None:
        parts = [os.urandom(MIB) for _ in range(4)] + [os.urandom(last)]
        addresses = [store.blobs.put(p, compress=False) for p in parts]
        store.blobs.sync()
        order = [2, 0, 0, 3, 1, 4]  # shared and moved chunks, as after an edit
        view = store.blobs.map([addresses[n] for n in order], [len(parts[n]) for n in order])
        assert view == b"".join(parts[n] for n in order)
        assert not view.readonly
        view[0:3] = b"new"
        view[MIB : MIB + 3] = b"two"
        again = store.blobs.map([addresses[n] for n in order], [len(parts[n]) for n in order])
        assert again == b"".join(parts[n] for n in order)
        assert bytes(view[2 * MIB : 2 * MIB + 3]) == parts[0][:3]  # the same chunk, not the same memory
        assert bytes(store.blobs.get(addresses[2])) == parts[2]

    def test_mapping_of_small_and_compressed_parts_and_before_sync(self, store: Store) -> None:
        parts = [b"a" * MIB, os.urandom(MIB), b"tail"]
        addresses = [store.blobs.put(p) for p in parts]
        assert store.blobs.map(addresses, [len(p) for p in parts]) == b"".join(parts)
        assert store.blobs.map([], []).nbytes == 0

    def test_a_mapping_outlives_everything(self, store: Store, place: Place) -> None:
        data = os.urandom(2 * MIB)
        addresses = [store.blobs.put(data[:MIB], compress=False), store.blobs.put(data[MIB:], compress=False)]
        store.blobs.sync()
        other = open_store(place.url, key=KEY)
        view = other.blobs.map(addresses, [MIB, MIB])
        other.close()
        del other
        assert view == data

    def test_threads(self, store: Store) -> None:
        writer = started(store)

        def work(seed: int) -> list[tuple[bytes, bytes]]:
            made: list[tuple[bytes, bytes]] = []
            for n in range(8):
                data = bytes([seed, n]) * 40_000 if n % 2 else os.urandom(90_000)
                made.append((store.blobs.put(data), data))
                writer.append("note", {"blob": made[-1][0]})
            return made

        results: list[Any] = all_at_once(*(lambda s=s: work(s) for s in range(4)))
        for address, data in (pair for made in results for pair in made):
            assert bytes(store.blobs.get(address)) == data

    def test_processes(self, store: Store, place: Place) -> None:
        script = (
            "import os\nstore = open_store(url, key=bytes(range(32)))\nREADY\nmade = []\n"
            "for n in range(6):\n"
            "    own, shared = os.urandom(100_000), bytes([n]) * 100_000\n"
            "    made += [(store.blobs.put(own).hex(), own.hex()), (store.blobs.put(shared, compress=False).hex(), shared.hex())]\n"
            "    store.blobs.sync()\n"
            "print(json.dumps(made))\n"
        )
        for made in in_processes(place, script, [0], [1], [2]):
            for address, data in made:
                assert bytes(store.blobs.get(bytes.fromhex(address))) == bytes.fromhex(data)
