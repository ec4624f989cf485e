"""compose.yaml and the Dockerfile, as far as they can be held to their word without Docker."""

import re
import tomllib
from typing import Any

import pytest
import yaml
from django.core.management import get_commands
from django.urls import resolve

from tests.launch.test_launch import ROOT
from tests.launch.test_settings import documented

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
OF_THE_IMAGE = {name: one for name, one in SERVICES.items() if one.get("image") == "botgpt"}
WEB, WORKERS = ("web", "web-scaled"), ("worker", "worker-scaled")


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))


def test_without_a_profile_it_is_one_of_each():
    plain = {name for name, one in SERVICES.items() if "profiles" not in one}

    assert plain == {"db", "migrate", "web", "worker"}


def test_the_scaled_profile_has_two_webs_and_two_workers_behind_pgbouncer():
    scaled = {name for name, one in SERVICES.items() if one.get("profiles") == ["scaled"]}
    assert scaled == {"web-scaled", "worker-scaled", "pgbouncer", "proxy"}

    for name in ("web-scaled", "worker-scaled"):
        service = SERVICES[name]
        assert service["deploy"]["replicas"] == 2
        assert "@pgbouncer:6432/" in service["environment"]["DATABASE_URL"]
        assert "@db:5432/" in service["environment"]["DATABASE_DIRECT_URL"]
    assert not SERVICES["web-scaled"]["ports"], "two containers cannot have one port"
    assert SERVICES["proxy"]["ports"] == SERVICES["web"]["ports"]
    # What is told at the head of the file starts the rest of the profile and all it needs.
    assert needed("proxy", "worker-scaled") == scaled | {"db", "migrate"}


def needed(*names: str) -> set[str]:
    found = list(names)
    for name in found:  # grows while it is walked
        found += [one for one in SERVICES[name].get("depends_on", {}) if one not in found]
    return set(found)


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_starts_after_what_it_needs(name):
    service = SERVICES[name]
    assert "image" in service or "build" in service
    for other, how in service.get("depends_on", {}).items():
        needs = SERVICES[other]
        if how["condition"] == "service_healthy":
            checked = "healthcheck" in needs or "HEALTHCHECK" in DOCKERFILE
            assert checked, f"{other} tells nobody how it is"
            assert not needs.get("healthcheck", {}).get("disable"), other
        else:
            assert (how["condition"], other) == ("service_completed_successfully", "migrate")


@pytest.mark.parametrize("name", OF_THE_IMAGE)
def test_each_part_of_the_product_has_the_same_files_and_settings(name):
    service = OF_THE_IMAGE[name]
    assert service["build"] == "."
    assert service["volumes"] == ["files:/data"]
    assert service["environment"]["BOTGPT_DATA_DIR"] == "/data"
    assert service["env_file"] == ".env"
    assert service["environment"].keys() <= set(documented())
    assert "set it in .env" in service["environment"]["SECRET_KEY"]
    assert "set it in .env" in service["environment"]["DATABASE_URL"]


@pytest.mark.parametrize("name", [one for one in OF_THE_IMAGE if one not in WEB])
def test_commands_are_there(name):
    program, script, command, *_ = SERVICES[name]["command"]

    assert (program, script) == ("python", "manage.py")
    assert command in get_commands()
    assert SERVICES[name]["healthcheck"] == {"disable": True}, "it has no port"


@pytest.mark.parametrize("name", [*WEB, "proxy"])
def test_answers_may_end_before_a_container_does(name):
    [grace] = re.findall(r"--graceful-timeout (\d+)", DOCKERFILE)

    assert seconds(SERVICES[name]["stop_grace_period"]) > int(grace)


@pytest.mark.parametrize("name", WORKERS)
def test_workers_give_back_their_documents_before_they_are_killed(name):
    *_, option, given = SERVICES[name]["command"]

    assert option == "--shutdown-graceful-timeout"
    assert int(given) < 10, "which is Docker's own patience"


def test_what_is_mounted_is_declared():
    for name, service in SERVICES.items():
        for volume in service.get("volumes", []):
            assert volume.split(":")[0] in COMPOSE["volumes"], name
        for config in service.get("configs", []):
            assert config["source"] in COMPOSE["configs"], name
            assert COMPOSE["configs"][config["source"]]["content"]


def test_the_proxy_passes_on_to_the_webs():
    proxy = COMPOSE["configs"]["proxy"]["content"]

    assert "set $$web web-scaled;" in proxy
    assert "listen 8000;" in proxy
    assert "proxy_buffering off;" in proxy, "streams come as they are"
    assert "X-Forwarded-For $$proxy_add_x_forwarded_for;" in proxy
    assert SERVICES["web-scaled"]["environment"]["NUM_PROXIES"] == "${NUM_PROXIES:-1}"
    assert "EXPOSE 8000" in DOCKERFILE


def test_the_image_holds_every_package_and_checks_what_is_served():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    copied = set(re.findall(r"^COPY (\w+) \w+$", DOCKERFILE, re.MULTILINE))
    assert copied == set(project["tool"]["importlinter"]["root_packages"])
    assert resolve(re.findall(r"127\.0\.0\.1:8000(/[\w/]+)", DOCKERFILE)[0])
