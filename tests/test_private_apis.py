"""What we use of doit, DVC and GTO beyond what they document: a release that moves it fails here.

Each row is a test, and its name says what is gone. What is only a format stands in
tests/test_dvc_contract.py, and what doit makes of our classes in tests/test_handed_in.py.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from doit import cmd_base, cmd_run, control, dependency, doit_cmd, plugin, runner

from tests.test_floors import MODULES

PACKAGES = ("doit", "dvc", "dvc_objects", "gto")
Given = tuple[tuple[str, ...], Mapping[str, object]]


def given(*args: str, **options: object) -> Given:
    return args, options


# What we call -> how: positional arguments by what they are, and keywords.
CALLS: Mapping[str, Given] = {
    "doit.doit_cmd.DoitMain": given(extra_config={}),
    "doit.doit_cmd.DoitMain.get_cmds": given("self"),
    "doit.doit_cmd.DoitConfig.load_config_toml": given("self", "file", "prefix"),
    "doit.doit_cmd.get_loader": given("config", "loader", "commands"),
    "doit.plugin.PluginDict.get_plugin": given("self", "name"),
    "doit.cmd_base.ModuleTaskLoader": given("namespace"),
    "doit.cmd_base.ModuleTaskLoader.load_tasks": given("self", "command", "words"),
    "doit.loader.generate_tasks": given("name", "made"),
    "doit.cmd_base.Command.parse_execute": given("self", "words"),
    "doit.cmd_base.DoitCmdBase": given("task_loader", cmds=None, config=None, bin_name=""),
    "doit.cmdparse.CmdParse.get_short": given("self"),
    "doit.cmdparse.CmdParse.get_long": given("self"),
    "doit.dependency.Dependency": given("backend", "name", "checker"),
    "doit.dependency.Dependency.get_status": given("self", "task", "tasks"),
    "doit.cmd_run.Run.help": given("self"),
    "doit.cmd_run.Run.execute": given("self", "params", "args"),
    "doit.control.TaskDispatcher": given("tasks", "targets", "selected"),
    "doit.control.TaskDispatcher._gen_node": given("self", "parent", "name"),
    "doit.control.TaskDispatcher._update_waiting": given("self", "node"),
    "doit.control.ExecNode.step": given("self"),
    "dvc.repo.Repo": given("root"),
    "dvc.repo.Repo.close": given("self"),
    "dvc.data_cloud.DataCloud.get_remote": given("self"),
    "dvc.data_cloud.DataCloud.get_remote_odb": given(
        "self", "name", "pull", hash_name="md5-dos2unix"
    ),
    "dvc_objects.db.ObjectDB.oid_to_path": given("self", "md5"),
    "dvc_objects.db.ObjectDB.list_oids_exists": given("self", "md5s"),
    "dvc_objects.fs.base.FileSystem.find": given("self", "path"),
    "dvc_objects.fs.base.FileSystem.exists": given("self", "path"),
    "dvc_objects.fs.base.FileSystem.join": given("self", "path", "runs"),
    "dvc_objects.fs.base.FileSystem.parts": given("path"),
    "dvc_objects.fs.generic.copy": given("from", "paths", "to", "paths", callback=None),
    "dvc.fs.callbacks.TqdmCallback": given(size=1, desc="", unit="file"),
    "dvc.ignore.DvcIgnoreFilter": given("fs", "root"),
    "dvc.ignore.DvcIgnoreFilter.walk": given("self", "fs", "path"),
    "dvc.lock.make_lock": given("path", tmp_dir="", hardlink_lock=True),
    "gto.api.register": given("repo", name="", ref="HEAD", version="v1", message=""),
    "gto.api.assign": given("repo", name="", stage="", version="v1"),
}
# What we derive from, stand in for, or look at -> the attributes that it must have.
HAS: Mapping[str, tuple[str, ...]] = {
    "doit.plugin.entry_points_impl": (),
    "doit.exceptions.TaskFailed": ("get_msg",),
    "doit.exceptions.InvalidCommand": (),
    "doit.exceptions.InvalidDodoFile": (),
    "doit.exceptions.InvalidTask": (),
    "doit.cmdparse.CmdParseError": (),
    "dvc.config.NoRemoteError": (),
    "doit.action.BaseAction": (),
    "doit.control.TaskControl": ("task_dispatcher",),
    "doit.task.Task": (),
    "doit.cmd_base.Command": ("cmdparser", "get_name", "parse_execute", "help", "execute"),
    "doit.cmd_run.Run": ("name", "help"),
    "doit.dependency.FileChangedChecker": (
        *("exists", "info", "check_modified", "get_state", "CheckerError"),
    ),
    "doit.dependency.JsonDB": ("get", "set", "in_", "remove", "remove_all", "dump"),
    "doit.reporter.ConsoleReporter": (
        *("initialize", "get_status", "execute_task", "add_failure", "add_success", "desc"),
        *("skip_uptodate", "skip_ignore", "cleanup_error", "runtime_error", "teardown_task"),
        "complete_run",
    ),
    "doit.doit_cmd.DoitMain": ("BIN_NAME", "run"),
    "dvc.lock.LockError": (),
    "dvc.fs.localfs": ("open", "exists"),
    "dvc_objects.fs.local.localfs": ("open", "exists"),
    "dvc.env.DVC_STAGE": (),
}


def has_parameters(function: Any, *names: str) -> bool:
    return {*names} <= inspect.signature(function).parameters.keys()


def tells(function: Any, text: str) -> bool:
    return text in inspect.getsource(function)


# What doit and DVC do with what we give them.
DOES: Mapping[str, Callable[[], bool]] = {
    "doit asks for packages by plugin.entry_points_impl": lambda: tells(
        plugin, "entry_points_impl("
    ),
    "a command keeps a dep_manager that it was given": lambda: tells(
        cmd_base.DoitCmdBase.execute, "if self.dep_manager is None"
    ),
    "a reporter may be an instance": lambda: tells(
        cmd_run.Run._execute, "isinstance(reporter_cls, type)"
    ),
    "par_type thread runs steps in threads": lambda: hasattr(runner, "MThreadRunner"),
    "a step's `uptodate` that is false ends doit's check": lambda: tells(
        dependency.Dependency.get_status, "if not get_log and result.status == 'run'"
    ),
    "a run's exit code 2 is an error's": lambda: runner.ERROR == 2 and runner.FAILURE == 1,
    "doit's run makes its control, and that its dispatcher, by these names": lambda: (
        tells(cmd_run.Run._execute, "TaskControl(self.task_list")
        and tells(cmd_run.Run._execute, "self.control.task_dispatcher()")
        and tells(control.TaskControl.task_dispatcher, "self.targets, self.selected_tasks")
    ),
    "a dispatcher has what ours works on": lambda: all(
        tells(control.TaskDispatcher.__init__, f"self.{name} = ")
        for name in ("nodes", "waiting", "ready", "generator")
    ),
    "DoitMain has config and task_loader": lambda: (
        tells(doit_cmd.DoitMain.__init__, "self.config")
        and tells(doit_cmd.DoitMain.__init__, "self.task_loader")
    ),
    "a repository has its cloud": lambda: tells(
        importlib.import_module("dvc.repo").Repo.__init__, "self.cloud"
    ),
    "a remote has a name": lambda: has_parameters(
        importlib.import_module("dvc.data_cloud").Remote.__init__, "name"
    ),
    "DVC tells its stages by DVC_STAGE": lambda: (
        importlib.import_module("dvc.env").DVC_STAGE == "DVC_STAGE"
    ),
    "DVC's lock is zc.lockfile's on .dvc/tmp/lock": lambda: tells(
        importlib.import_module("dvc.lock").Lock, "zc.lockfile"
    ),
}


def resolved(name: str) -> Any:
    """The object of a dotted name, whose module is the longest part that can be imported."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        return found
    raise AssertionError(f"no module of {name}")


@pytest.mark.parametrize("name", CALLS)
def test_is_called_as_we_call_it(name: str) -> None:
    args, options = CALLS[name]
    inspect.signature(resolved(name)).bind(*args, **options)


@pytest.mark.parametrize("name", HAS)
def test_has_what_we_use(name: str) -> None:
    lacking = [each for each in HAS[name] if not hasattr(resolved(name), each)]
    assert not lacking


@pytest.mark.parametrize("name", DOES)
def test_does_what_we_rely_on(name: str) -> None:
    assert DOES[name]()


def test_all_that_is_imported_is_listed() -> None:
    listed = {*CALLS, *HAS}
    imported = {
        full for file in MODULES.values() for full in _names(file) if full.split(".")[0] in PACKAGES
    }
    assert imported
    missing = {
        name for name in imported if not any(f"{each}.".startswith(f"{name}.") for each in listed)
    }
    assert not missing


def _names(file: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found
