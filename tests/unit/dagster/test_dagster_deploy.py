"""The files that deploy it: they parse, name what exists, and keep clear of the known traps."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from holdfast.config import Config
from holdfast_dagster import instance

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "dagster_defs" / "deploy"


def loaded(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text())


def test_the_instance_is_one_that_dagster_takes_and_that_can_suspend_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    import dagster as dg
    from dagster._config import Shape, validate_config
    from dagster._core.instance.config import dagster_instance_config_schema

    settings = loaded("dagster.yaml")
    known = Shape(dagster_instance_config_schema())
    assert validate_config(known, {k: v for k, v in settings.items() if k != "concurrency"}).success
    local = yaml.safe_load(instance.SETTINGS)
    assert settings["run_launcher"]["class"] == local["run_launcher"]["class"]
    assert settings["concurrency"] == local["concurrency"]
    assert settings["run_monitoring"]["max_resume_run_attempts"] > 1000
    assert dg.__version__ >= "1.13"


def test_compose_starts_the_image_with_commands_that_exist_and_what_they_need() -> None:
    compose = loaded("compose.yaml")
    services = compose["services"]
    assert set(services) == {"postgres", "code", "webserver", "daemon", "worker", "gateway"}
    assert services["postgres"]["image"] == "postgres:15"
    programs = {"dagster", "dagster-webserver", "dagster-daemon", "holdfast"}
    for name in ("code", "webserver", "daemon", "worker", "gateway"):
        service = services[name]
        assert service["command"][0] in programs
        assert service["build"] == {"context": "../..", "dockerfile": "dagster_defs/deploy/Dockerfile"}
        environment = service["environment"]
        assert environment["DAGSTER_POSTGRES_URL"].startswith("postgresql+psycopg2://")
        assert environment["HOLDFAST_JOURNAL"].startswith("postgresql://")
        given = {k: v for k, v in environment.items() if k.startswith("HOLDFAST_")}
        assert Config.load(environment=given).journal == environment["HOLDFAST_JOURNAL"]
        assert set(service["volumes"]) == {"state:/srv/holdfast/state"}
    exported = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()))
    assert exported and not any(name.startswith("HOLDFAST_") for name in exported), "holdfast would refuse it as a setting in that shell"
    named = {volume.split(":")[0] for service in services.values() for volume in service["volumes"]}
    assert named == set(compose["volumes"])


def test_the_image_copies_what_is_there() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    sources = [
        w for line in lines if line.startswith("COPY") and "--from" not in line for w in line.split()[1:-1] if not w.startswith("--")
    ]
    assert sources
    assert [s for s in sources if not (ROOT / s).exists()] == []
    locked = (ROOT / "requirements" / "image.txt").read_text()
    assert all(
        f"\n{name}==" in f"\n{locked}" for name in ("dagster-k8s", "dagster-postgres", "psycopg[binary]", "psycopg2-binary", "hatchling")
    )


def test_the_chart_is_told_the_scheme_the_image_and_where_the_key_is() -> None:
    values = loaded("helm/values.yaml")
    brought = list(yaml.safe_load_all((DEPLOY / "helm" / "holdfast.yaml").read_text()))
    secrets = {d["metadata"]["name"]: d["stringData"] for d in brought if d["kind"] == "Secret"}
    assert values["postgresql"]["postgresqlScheme"] == "postgresql+psycopg2"
    assert "postgresql-password" in secrets[values["global"]["postgresqlSecretName"]]
    (deployment,) = values["dagster-user-deployments"]["deployments"]
    assert deployment["includeConfigInLaunchedRuns"]["enabled"] is True
    for part in (deployment, values["dagsterWebserver"], values["dagsterDaemon"]):
        assert [s["name"] for s in part["envSecrets"]] == ["holdfast"]
        mounted = {m["name"]: m["mountPath"] for m in part["volumeMounts"]}
        (volume,) = part["volumes"]
        place = Path(mounted[volume["name"]]) / next(iter(secrets[volume["secret"]["secretName"]]))
        assert str(place) == secrets["holdfast"]["HOLDFAST_KEY_FILE"]
    launcher = values["runLauncher"]
    assert launcher["type"] == "CustomRunLauncher"
    assert launcher["config"]["customRunLauncher"]["class"] == "HoldfastK8sRunLauncher"
    assert values["dagsterDaemon"]["runMonitoring"]["maxResumeRunAttempts"] > 1000


def test_worker_and_gateway_have_one_policy_and_the_same_commands_everywhere() -> None:
    services = loaded("compose.yaml")["services"]
    brought = list(yaml.safe_load_all((DEPLOY / "helm" / "holdfast.yaml").read_text()))
    (policy,) = [d["data"]["policy.toml"] for d in brought if d["kind"] == "ConfigMap"]
    assert tomllib.loads(policy) == tomllib.loads((DEPLOY / "policy.toml").read_text())
    pods = {d["metadata"]["name"]: d["spec"]["template"]["spec"] for d in brought if d["kind"] == "Deployment"}
    for name in ("worker", "gateway"):
        (container,) = pods[f"holdfast-{name}"]["containers"]
        assert container["command"] == services[name]["command"]
        assert {m["name"] for m in container["volumeMounts"]} == {v["name"] for v in pods[f"holdfast-{name}"]["volumes"]}
