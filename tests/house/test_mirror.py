"""Every module has its test: `room/_x.py` is tested by `tests/room/test_x.py`, or the tables below say where."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOMS = {
    "cluster": "cluster",
    "core_capture": "core_capture",
    "extension_api": "extension_api",
    "firewall": "firewall",
    "hosts": "hosts",
    "hub": "hub",
    "packages": "packages",
    "pipeline": "pipeline",
    "settings": "settings",
    "worker": "worker",
    "src/kubeshark": ".",  # tests/cli, tests/test_errors.py
}

STORE = "core_capture/store/test_store.py"
LIVE = "core_capture/store/writing/test_live_writer.py"
CRASH = "core_capture/store/test_crash.py"
FAULTS = "hosts/test_faults.py"
CHILDREN = "hosts/test_children.py"
CEL = "pipeline/kfl/test_against_cel.py"
COMMANDS = "cli/test_end_to_end.py"

SCRIPTS = "pipeline/scripts/test_suite.py"

WITHOUT_TEST = {
    **{f"cluster/_{part}.py": "cluster/test_manifests.py" for part in ("names", "pods", "values")},
    "cluster/_chart_text.py": "cluster/test_chart.py",
    "src/kubeshark/cli/check.py": "cluster/test_checks.py",
    "src/kubeshark/cli/logs.py": "cluster/test_logs.py",
    **{
        f"src/kubeshark/cli/{name}.py": "cluster/test_commands.py"
        for name in ("options/_cluster_options", "clean", "proxy", "tap")
    },
    "hosts/js/scripts/_instance.py": "hosts/js/scripts/test_process.py",
    "hosts/js/scripts/_serve.py": "hosts/js/scripts/test_process.py",
    "settings/_ignored.py": "settings/test_read.py",
    "pipeline/scripts/_answers.py": SCRIPTS,
    "pipeline/scripts/_commands.py": SCRIPTS,
    "pipeline/scripts/_encode.py": SCRIPTS,
    "pipeline/scripts/_isolate.py": SCRIPTS,
    "pipeline/scripts/_kfl.py": SCRIPTS,
    "pipeline/scripts/_packets.py": SCRIPTS,
    "pipeline/scripts/_queried.py": SCRIPTS,
    "pipeline/scripts/_runtime.py": SCRIPTS,
    "pipeline/scripts/_replay.py": "cli/test_scripts.py",
    "pipeline/scripts/_script.py": "cli/test_scripts.py",
    "src/kubeshark/cli/options/_retention_options.py": "cli/test_capture.py",
    **{f"src/kubeshark/cli/survey/_{part}.py": "cli/test_init.py" for part in ("answers", "survey", "survey_file")},
    "src/kubeshark/cli/options/_scripts_option.py": "cli/test_scripts.py",
    "src/kubeshark/cli/console.py": "cli/test_scripts.py",
    **{
        f"src/kubeshark/cli/{module}.py": "cli/test_firewall.py"
        for module in ("options/_firewall_options", "firewall_learn", "firewall_policies", "firewall_simulate")
    },
    "src/kubeshark/cli/firewall_enforce.py": "firewall/enforcement/test_agent.py",
    "src/kubeshark/cli/terminal/_firewall_shown.py": "firewall/enforcement/test_agent.py",
    "src/kubeshark/cli/terminal/_script_rows.py": "cli/test_scripts.py",
    "firewall/_errors.py": "firewall/kernel/test_plane.py",
    "core_capture/reference/_media.py": "core_capture/reference/test_link.py",
    "core_capture/store/catalogue/_signed_file.py": "core_capture/store/upkeep/test_snapshots.py",
    "worker/_kept.py": "worker/test_captures.py",
    "core_capture/ebpf/build_ebpf.py": "core_capture/ebpf/test_object.py",
    **{
        f"core_capture/ebpf/{module}.py": "core_capture/ebpf/test_tls_source.py"
        for module in ("_perf", "_ring", "_tls_probe")
    },
    "core_capture/ebpf/_calls.py": "firewall/kernel/test_plane.py",
    **{
        f"firewall/kernel/_{module}.py": "firewall/enforcement/test_enforcer.py"
        for module in ("attach", "events", "netlink")
    },
    "firewall/sets/_wire.py": "firewall/enforcement/test_enforcer.py",
    "extension_api/_manifest_rules.py": "extension_api/test_manifest.py",
    "extension_api/_manifest_tables.py": "extension_api/test_manifest.py",
    "pipeline/names/_cluster_names.py": "cluster/test_cluster_names.py",
    "pipeline/dissection/_scanned.py": "pipeline/tables/test_table.py",
    **{f"pipeline/tables/{module}.py": "pipeline/tables/test_table.py" for module in ("_kinds", "_lazy_entry")},
    "pipeline/query/_rows.py": "pipeline/test_pipeline.py",
    "pipeline/query/_store_query.py": "pipeline/test_pipeline.py",
    "pipeline/executors/_executor.py": "pipeline/query/test_query.py",
    "pipeline/query/_run.py": "pipeline/query/test_query.py",
    "pipeline/query/_runs.py": "pipeline/query/test_query.py",
    "pipeline/executors/_job.py": "pipeline/executors/test_processes.py",
    "pipeline/executors/_worker.py": "pipeline/executors/test_processes.py",
    "core_capture/native/_streams.py": "core_capture/native/test_core.py",
    "core_capture/files/_reader.py": "core_capture/files/test_mutations.py",
    "core_capture/store/writing/_builder.py": STORE,
    "core_capture/store/catalogue/_catalogue.py": STORE,
    "src/kubeshark/_durable.py": CRASH,
    "core_capture/store/segments/_extras.py": "core_capture/store/test_export.py",
    "core_capture/store/upkeep/_data_check.py": "core_capture/store/upkeep/test_survey.py",
    "core_capture/store/upkeep/_leftovers.py": CRASH,
    "core_capture/store/writing/_live_counts.py": LIVE,
    "core_capture/store/writing/_log_losses.py": "core_capture/store/writing/test_log_recovery.py",
    "core_capture/store/writing/_live_segment.py": LIVE,
    "core_capture/store/_housekeeper.py": LIVE,
    "core_capture/store/segments/_reader.py": STORE,
    "core_capture/store/_reading.py": STORE,
    "core_capture/store/writing/_sealer.py": LIVE,
    "core_capture/store/segments/_segment.py": STORE,
    "core_capture/store/catalogue/_upload_journal.py": "core_capture/store/archives/test_uploader.py",
    "core_capture/store/_upkeep.py": "core_capture/store/upkeep/test_prune.py",
    "core_capture/store/writing/_writer.py": STORE,
    "extension_api/native/build_frame.py": "extension_api/test_batch.py",
    "hosts/native/build_exchange.py": "hosts/test_exchange.py",
    "pipeline/native/build_objects.py": "pipeline/tables/test_objects.py",
    "packages/_documents.py": "packages/test_lock.py",
    "packages/_fetched.py": "packages/test_sources.py",
    "packages/_inspect.py": "packages/test_signature.py",
    "pipeline/plugins/_install_record.py": "pipeline/plugins/test_stage.py",
    "hosts/_child.py": CHILDREN,
    "hosts/_landlock.py": CHILDREN,
    "hosts/_sandbox.py": FAULTS,
    "hosts/_zygote.py": CHILDREN,
    "hosts/_build.py": "cli/test_plugin_author.py",
    "hosts/c/_instance.py": FAULTS,
    "hosts/go/_engine.py": "hosts/go/test_instance.py",
    "hosts/go/_wasi.py": "hosts/go/test_instance.py",
    "pipeline/dissectors/access/_ldap_document.py": "pipeline/dissectors/access/test_ldap.py",
    "pipeline/dissectors/access/_ldap_filter.py": "pipeline/dissectors/access/test_ldap.py",
    "pipeline/dissectors/access/_ldap_message.py": "pipeline/dissectors/access/test_ldap.py",
    "pipeline/dissectors/access/_ldap_names.py": "pipeline/dissectors/access/test_ldap.py",
    "pipeline/dissectors/access/_ldap_sasl.py": "pipeline/dissectors/access/test_ldap.py",
    "pipeline/dissectors/access/_radius_attributes.py": "pipeline/dissectors/access/test_radius.py",
    "pipeline/dissectors/access/_radius_names.py": "pipeline/dissectors/access/test_radius.py",
    "pipeline/dissectors/sessions/_sip_message.py": "pipeline/dissectors/sessions/test_sip.py",
    "pipeline/dissectors/sessions/_ssh_packets.py": "pipeline/dissectors/sessions/test_ssh.py",
    "pipeline/dissectors/network/_stun_message.py": "pipeline/dissectors/network/test_stun.py",
    "pipeline/dissectors/access/_diameter_message.py": "pipeline/dissectors/access/test_diameter.py",
    "pipeline/dissectors/access/_diameter_names.py": "pipeline/dissectors/access/test_diameter.py",
    "pipeline/dissectors/databases/_memcached_binary.py": "pipeline/dissectors/databases/test_memcached.py",
    "pipeline/dissectors/databases/_memcached_text.py": "pipeline/dissectors/databases/test_memcached.py",
    "pipeline/dissectors/messaging/_mqtt_packet.py": "pipeline/dissectors/messaging/test_mqtt.py",
    "pipeline/dissectors/messaging/_mqtt_properties.py": "pipeline/dissectors/messaging/test_mqtt.py",
    "pipeline/dissectors/messaging/_amqp_frames.py": "pipeline/dissectors/messaging/test_amqp.py",
    "pipeline/dissectors/messaging/_amqp_methods.py": "pipeline/dissectors/messaging/test_amqp.py",
    "pipeline/dissectors/messaging/_amqp_values.py": "pipeline/dissectors/messaging/test_amqp.py",
    "pipeline/dissectors/databases/_redis_commands.py": "pipeline/dissectors/databases/test_redis.py",
    "pipeline/dissectors/databases/_redis_resp.py": "pipeline/dissectors/databases/test_redis.py",
    "pipeline/dissectors/_carve.py": "pipeline/dissectors/web/test_ws.py",
    "pipeline/dissectors/web/_http2_frames.py": "pipeline/dissectors/web/test_http2.py",
    "pipeline/dissectors/web/_http2_halves.py": "pipeline/dissectors/web/test_http2.py",
    "pipeline/dissectors/web/_http_protocols.py": "pipeline/dissectors/web/test_http2.py",
    "pipeline/dissectors/web/_ws_frames.py": "pipeline/dissectors/web/test_ws.py",
    "pipeline/dissectors/messaging/_kafka_framing.py": "pipeline/dissectors/messaging/test_kafka.py",
    "pipeline/dissectors/messaging/_kafka_cursor.py": "pipeline/dissectors/messaging/test_kafka_schema.py",
    "pipeline/dissectors/messaging/_kafka_apis_0.py": "pipeline/dissectors/messaging/test_kafka_schema.py",
    "pipeline/dissectors/messaging/_kafka_apis_35.py": "pipeline/dissectors/messaging/test_kafka_schema.py",
    "pipeline/dissectors/rpc/_thrift_values.py": "pipeline/dissectors/rpc/test_thrift.py",
    "pipeline/kfl/_ast.py": CEL,
    "pipeline/kfl/_checked.py": CEL,
    "pipeline/kfl/_compile.py": CEL,
    "pipeline/kfl/_functions.py": CEL,
    "pipeline/kfl/_hints.py": "pipeline/kfl/test_check.py",
    "pipeline/kfl/_signatures.py": "pipeline/kfl/test_check.py",
    "pipeline/kfl/_v1_grammar.py": "pipeline/kfl/test_v1.py",
    "pipeline/kfl/_v1_paths.py": "pipeline/kfl/test_v1.py",
    **{
        f"pipeline/dissectors/databases/_mysql_{part}.py": "pipeline/dissectors/databases/test_mysql.py"
        for part in ("compression", "document", "framing", "session", "values")
    },
    "pipeline/dissectors/databases/_cassandra_document.py": "pipeline/dissectors/databases/test_cassandra.py",
    "pipeline/dissectors/databases/_cassandra_frames.py": "pipeline/dissectors/databases/test_cassandra.py",
    "pipeline/dissectors/databases/_cassandra_values.py": "pipeline/dissectors/databases/test_cassandra.py",
    **{
        f"pipeline/dissectors/databases/_tds_{part}.py": "pipeline/dissectors/databases/test_tds.py"
        for part in ("document", "packets", "values")
    },
    "pipeline/dissectors/databases/_mongodb_document.py": "pipeline/dissectors/databases/test_mongodb.py",
    "pipeline/dissectors/databases/_mongodb_message.py": "pipeline/dissectors/databases/test_mongodb.py",
    "pipeline/dissectors/databases/_postgresql_document.py": "pipeline/dissectors/databases/test_postgresql.py",
    "pipeline/dissectors/databases/_postgresql_framing.py": "pipeline/dissectors/databases/test_postgresql.py",
    "pipeline/dissectors/databases/_postgresql_session.py": "pipeline/dissectors/databases/test_postgresql.py",
    "pipeline/dissectors/databases/_postgresql_units.py": "pipeline/dissectors/databases/test_postgresql.py",
    "pipeline/dissectors/databases/_postgresql_values.py": "pipeline/dissectors/databases/test_postgresql.py",
    "pipeline/dissectors/web/_http3_halves.py": "pipeline/dissectors/web/test_http3.py",
    "pipeline/tls/_documents.py": "pipeline/dissectors/security/test_tls.py",
    "pipeline/entries/_packets.py": "hub/entries/test_entries.py",
    "hub/answers/_downloads.py": "hub/captures/test_exports.py",
    "hub/answers/_parameters.py": "hub/answers/test_sums.py",
    "hub/gate/_session.py": "hub/test_views.py",
    "hub/nodes/_worker_setting.py": "hub/nodes/test_workers.py",
    "hub/operations/_workers.py": "hub/nodes/test_workers.py",
    "hub/state/_figures.py": "hub/operations/test_metrics.py",
    "hub/state/_settings_file.py": "hub/operations/test_settings.py",
    "hub/state/_uploads.py": "hub/captures/test_imports.py",
    "core_capture/store/archives/_archive.py": "core_capture/store/archives/test_archive_store.py",
    "core_capture/store/archives/_open.py": "core_capture/store/archives/test_archive_store.py",
    **{
        f"core_capture/store/keys/_age_{what}.py": "core_capture/store/keys/test_age.py"
        for what in ("format", "reader", "writer")
    },
    "core_capture/store/keys/_letter.py": "pipeline/executors/test_ray.py",
    "core_capture/store/archives/_reference.py": "pipeline/executors/test_ray.py",
    "pipeline/executors/_ray_actor.py": "pipeline/executors/test_ray.py",
    "pipeline/executors/_spread.py": "pipeline/executors/test_processes.py",
    "core_capture/store/places/_away.py": "core_capture/store/places/test_worker_client.py",
    "src/kubeshark/cli/options/_tls_option.py": "cli/test_worker.py",
    "pipeline/reading/_repeats.py": "pipeline/reading/test_twins.py",
    "worker/_capture_child.py": "worker/test_captures.py",
    "worker/_status.py": "worker/test_app.py",
    "core_capture/store/places/_remote.py": "core_capture/store/places/test_objects.py",
    "hub/access/_rights.py": "hub/test_views.py",
    "hub/access/_audit.py": "hub/access/test_limits.py",
    "hub/entries/_columns.py": "hub/entries/test_ws.py",
    "hub/access/_sessions.py": "hub/access/test_tokens.py",
    "hub/answers/_streams.py": "hub/answers/test_client.py",
    "hub/state/_hub.py": "hub/gate/test_gate.py",
    "src/kubeshark/cli/hub.py": "hub/test_views.py",
    "core_capture/live/_options.py": "core_capture/live/test_source.py",
    "core_capture/live/_plain.py": "core_capture/live/test_source.py",
    "core_capture/live/_socket.py": "core_capture/live/test_source.py",
    "pipeline/query/_exact.py": "pipeline/query/test_filter.py",
    "pipeline/intake/_import_hooks.py": "pipeline/intake/test_sealed.py",
    "src/kubeshark/__main__.py": "cli/test_main.py",
    "src/kubeshark/cli/_capture_files.py": "cli/test_import_folders.py",
    "core_capture/live/_packet_filter.py": "cli/test_export.py",
    "pipeline/exports/_export.py": "cli/test_export.py",
    "pipeline/exports/_flows.py": "cli/test_export.py",
    "pipeline/exports/_packets.py": "cli/test_export.py",
    "hub/entries/_said.py": "hub/entries/test_ws.py",
    "pipeline/dissectors/web/_http_end.py": "pipeline/dissectors/web/test_http1.py",
    **{
        f"pipeline/dissectors/databases/_memcached_{what}.py": "pipeline/dissectors/databases/test_memcached.py"
        for what in ("datagrams", "turns")
    },
    **{
        f"src/kubeshark/cli/{command}.py": COMMANDS
        for command in ("dissect", "import_", "query", "serve", "store", "version")
    },
}
"""Modules without a test module of their own → the one that exercises them, mostly because it joins several."""

DECLARATIONS = (
    "core_capture/_records.py",
    "core_capture/reference/_limits.py",
    "core_capture/store/places/_backend.py",
    "core_capture/store/segments/_info.py",
    "core_capture/store/_limits.py",
    "extension_api/_models.py",
    "hosts/_instance.py",
    "pipeline/tls/_suites.py",
    "settings/_model.py",
    "settings/_tap.py",
)
"""Modules of constants and dataclasses: there is nothing to run."""


def mirrored() -> dict[str, str]:
    """Return module → test module, both relative: the one to the root, the other to tests/."""
    root = Path(__file__).resolve().parents[2]
    found = {}
    for room, tests in ROOMS.items():
        for path in sorted((root / room).rglob("*.py")):
            inside = path.relative_to(root / room)
            if path.name != "__init__.py":
                name = f"test_{path.stem.removeprefix('_')}.py"
                found[f"{room}/{inside.as_posix()}"] = (Path(tests) / inside.parent / name).as_posix()
    return found


@pytest.mark.parametrize("module", mirrored())
def test_every_module_has_its_test(root: Path, module: str) -> None:
    test = mirrored()[module]
    has_test = (root / "tests" / test).is_file()
    if module in WITHOUT_TEST or module in DECLARATIONS:
        assert not has_test, f"tests/{test} is there now: take {module} off the table"
    else:
        assert has_test, f"write tests/{test}"


def test_the_tables_name_what_is_there(root: Path) -> None:
    assert {*WITHOUT_TEST, *DECLARATIONS} <= mirrored().keys()
    assert not WITHOUT_TEST.keys() & {*DECLARATIONS}
    assert [test for test in WITHOUT_TEST.values() if not (root / "tests" / test).is_file()] == []


@pytest.mark.parametrize("module", DECLARATIONS)
def test_declarations_are_only_that(root: Path, module: str) -> None:
    """No function but methods of one statement."""
    tree = ast.parse((root / module).read_text())
    assert [node.name for node in tree.body if isinstance(node, ast.FunctionDef)] == []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            first, *rest = node.body
            is_documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            assert len(rest if is_documented else node.body) <= 1, node.name
