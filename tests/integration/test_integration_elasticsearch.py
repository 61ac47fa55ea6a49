"""The Elasticsearch integration on a stand-in, through the client's synchronous and asynchronous transports."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from holdfast.testing.cells import CellRunner
from holdfast.testing.contracts.integration import IntegrationContract, Read, Subject, Write
from holdfast.testing.servers.elasticsearch import ALLOCATION, API_KEY, Elasticsearch
from holdfast.testing.waiting import until

HERE = "elasticsearch://127.0.0.1:*"
BULK = """from elasticsearch.helpers import bulk
print(bulk(client, [{'_index': 'many', 'n': n} for n in range(3)]))"""
COUNT_UP = "print(client.update(index='logs-web', id='L0', script={'source': 'ctx._source.count++'})['result'])"


class TestElasticsearch(IntegrationContract):
    """Settings, flush, documents, indices."""

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls) -> Iterator[Elasticsearch]:
        with Elasticsearch() as server:
            yield server

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls, server: Elasticsearch) -> Subject:
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            dead = f"http://127.0.0.1:{nobody.getsockname()[1]}"

        def written(how: str, index: str) -> Callable[[], int]:
            return lambda: len([one for one in server.written if one[:2] == (how, index)])

        def known(index: str, name: str) -> dict[str, int]:
            return dict(server.indices.get(index, {"docs": {}})["docs"].get(name, {}).get("_source", {}))

        return Subject(
            setup=(  # one of its two nodes is down all the time
                "from holdfast.integrations import elasticsearch as es\n"
                f"client = es.connect([{dead!r}, {server.url!r}], api_key='env:ES_KEY')"
            ),
            reset=server.reset,
            environment={"ES_KEY": API_KEY},
            modules=("elasticsearch", "elasticsearch.helpers", "holdfast.integrations.elasticsearch"),
            secret=API_KEY,
            limit=lambda n: setattr(server, "refuse", n),
            reads=(
                Read(name="health", cell="print(es.check_health(client=client))", count=lambda: server.asked("GET", "/_cluster/health")),
                Read(
                    name="search",
                    cell="print(es.search('logs-web', 'level:error', client=client).column('message'))",
                    count=lambda: server.asked("POST", "/logs-web/_search"),
                ),
                Read(
                    name="explain",
                    cell="print(es.explain('logs-web', client=client).column('decision'))",
                    count=lambda: server.asked("POST", "/_cluster/allocation/explain"),
                ),
            ),
            writes=(
                Write("allocation", "es.allocation('primaries', client=client)",
                      lambda: len(server.put), "idempotent", f"{HERE}/_cluster/settings"),
                Write("document", "print(len(es.index_document('notes', {'a': 1}, client=client)))",
                      written("create", "notes"), "idempotent", f"{HERE}/notes/_doc"),
                Write("with-id", "print(es.index_document('kept', {'a': 1}, id='n1', client=client))",
                      lambda: len(known("kept", "n1")), "idempotent", f"{HERE}/kept/_doc/n1"),
                Write("bulk", BULK, lambda: len(server.indices.get("many", {"docs": ()})["docs"]), "idempotent", f"{HERE}/_bulk", makes=3),
                Write("count-up", COUNT_UP,
                      lambda: known("logs-web", "L0").get("count", 0), "write", f"{HERE}/logs-web/_update/L0", asks=True),
                Write("flush", "es.flush('logs-web', client=client)",
                      lambda: min(1, len(server.flushed)), "idempotent", f"{HERE}/logs-web/_flush"),
                Write("retry-failed", "es.retry_failed(client=client)",
                      lambda: min(1, len(server.rerouted)), "idempotent", f"{HERE}/_cluster/reroute"),
                Write("delete", "es.delete_index('logs-old', client=client)",
                      written("delete-index", "logs-old"), "idempotent", f"{HERE}/logs-old"),
            ),
        )  # fmt: skip

    def test_an_index_that_took_the_name_is_not_deleted(self, server: Elasticsearch, cell: Callable[[str], CellRunner]) -> None:
        runner = cell("es.delete_index('logs-old', client=client)")
        assert runner.run("call.after_effect@2=kill").killed  # it was looked at, and deleted
        server.make("logs-old")
        assert runner.run().status == 0
        assert "logs-old" in server.indices

    def test_what_got_no_answer_is_found_again(self, server: Elasticsearch, cell: Callable[[str], CellRunner]) -> None:
        runner = cell(
            "name = es.index_document('notes', {'a': 1}, client=client)\nprint(name)\n"
            "es.set_setting('indices.recovery.max_bytes_per_sec', '80mb', persistent=False, client=client)\n"
            "client.indices.create(index='fresh')\nes.delete_index('fresh', client=client)\nprint(es.settings(client=client))"
        )
        server.lose += ["PUT /_cluster/settings", "PUT /fresh", "DELETE /fresh"]
        done = runner.run("call.after_effect=kill")
        assert done.killed
        server.lose += [f"POST /notes/_create/{name}" for name in server.indices["notes"]["docs"]]
        done = runner.run()
        (name,) = server.indices["notes"]["docs"]
        assert (done.status, done.out) == (0, f"{name}\n{{'indices.recovery.max_bytes_per_sec': '80mb'}}\n"), done
        assert ("delete-index", "fresh", "") in server.written

    def test_a_counter_that_was_not_touched_goes_on_without_a_question(
        self, server: Elasticsearch, cell: Callable[[str], CellRunner]
    ) -> None:
        runner = cell(COUNT_UP)
        assert runner.run("call.after_intent=kill").killed
        assert (runner.run().out, server.indices["logs-web"]["docs"]["L0"]["_source"]["count"]) == ("updated\n", 1)

    def test_waits_until_green_over_a_kill(self, server: Elasticsearch, cell: Callable[[str], CellRunner]) -> None:
        runner = cell(
            "print(es.wait_nodes('es-1', 'es-2', every=0.05, timeout=60, client=client))\n"
            "print(es.wait_healthy(every=0.05, timeout=60, client=client))"
        )
        server.nodes.discard("es-2")
        process = runner.start()
        until(lambda: server.asked("GET", "/_cat/nodes") >= 3, "three looks")
        process.kill()
        process.communicate(timeout=60)
        server.nodes.add("es-2")
        assert runner.run().out == "True\nok: cluster is green (1 looked at)\n"

    def test_a_wait_does_not_outlast_a_refusal_that_stays(self, server: Elasticsearch, cell: Callable[..., CellRunner]) -> None:
        runner = cell("es.wait_healthy(every=0.05, client=client)")
        server.refuse = 3  # that passes
        assert runner.run().status == 0
        stranger = cell(f"es.wait_healthy(every=0.05, client=es.connect({server.url!r}, api_key='env:WRONG'))", "stranger")
        stranger.environment["WRONG"] = "d3Jvbmc6a2V5"
        done = stranger.run()
        assert done.status == 1 and "AuthenticationException" in done.out, done

    @pytest.mark.parametrize("node", ["aiohttp", "httpxasync"])
    def test_the_asynchronous_client_is_as_durable(self, server: Elasticsearch, cell: Callable[[str], CellRunner], node: str) -> None:
        runner = cell(
            "import os\nfrom elasticsearch import AsyncElasticsearch\n"
            f"other = AsyncElasticsearch([{server.url!r}], node_class={node!r}, api_key=os.environ['ES_KEY'])\n"
            "print((await other.search(index='logs-web', query={'match_all': {}}))['hits']['total']['value'])\n"
            "print(len((await other.index(index='notes', document={'a': 1}))['_id']))\n"
            "await other.cluster.put_settings(persistent={'a.b': 1})\nawait other.close()"
        )
        assert runner.run("call.after_effect@2=kill").killed  # the document is made
        assert runner.run("call.after_effect@2=kill").killed  # it was found again; the settings were read, and set
        done = runner.run()
        assert (done.status, done.out) == (0, "3\n36\n"), done
        assert (len(server.written), len(server.put), server.asked("POST", "/logs-web/_search")) == (1, 1, 1)

    def test_what_is_found_is_told(self, server: Elasticsearch, cell: Callable[[str], CellRunner]) -> None:
        runner = cell(
            "print(es.check_nodes('es-1', 'es-2', client=client))\nprint(es.check_unassigned(client=client))\n"
            "print(es.explain(client=client).column('why')[0])\nprint(es.check_health('yellow', client=client))\n"
            "print(es.indices('logs-w*', client=client).column('documents'), es.nodes(client=client).column('disk'))\n"
            "print(bool(client.exists(index='logs-web', id='L1')), bool(client.indices.exists(index='nothing')))\n"
            "from elasticsearch import NotFoundError\n"
            "try:\n    client.get(index='logs-web', id='nothing')\nexcept NotFoundError as error:\n    print(error.status_code)"
        )
        server.nodes.discard("es-2")
        told = runner.run().out.splitlines()
        assert told == [
            "NOT OK: nodes of the cluster: es-2 (is not in the cluster)",
            "NOT OK: shards without a node: logs-web/0 (copy: NODE_LEFT)",
            f"replica allocations are forbidden due to cluster setting [{ALLOCATION}]",
            "ok: cluster is yellow (1 looked at)",
            "[3] [61.5, 61.5]",
            "True False",
            "404",
        ]
        assert runner.run().out.splitlines() == told
