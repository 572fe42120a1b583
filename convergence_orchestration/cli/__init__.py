"""`convergence`: the platform from the command line.

What belongs here: which commands there are. Each imports what it needs when it runs, so that `--help` and completion answer
at once.
"""

from collections.abc import Callable, Mapping
from typing import Annotated

import typer

from convergence_orchestration.cli import (
    admin_keys,
    alerts,
    audit,
    backups,
    demo,
    doctor,
    environments,
    health,
    iam_reviews,
    key_listing,
    lifecycle,
    log_lines,
    metrics,
    release_deploy,
    release_hands,
    releases,
    secret_manager,
    suites,
    tenant_batches,
    tenant_changes,
    tenant_import,
    tenant_keys,
    tenant_requests,
    tenants,
)
from convergence_orchestration.cli.reporting import ReportingGroup

_HELP = """\
The whole life of a multi-tenant BigQuery platform, on this machine.

Exit status: 0 done; 1 it failed; 2 wrong usage or settings; 3 a platform already runs in the data directory; 4 none runs
there; 130 interrupted.
"""


def _offer(group: typer.Typer, commands: Mapping[str, Callable[..., None]]) -> None:
    """Let the group have these commands, by name."""
    for name, act in commands.items():
        group.command(name)(act)


app = typer.Typer(
    name="convergence",
    cls=ReportingGroup,
    help=_HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for command in (
    lifecycle.up,
    lifecycle.down,
    lifecycle.status,
    log_lines.logs,
    doctor.doctor,
    metrics.metrics,
    demo.demo,
):
    app.command()(command)
app.command()(health.health)
app.command()(health.slo)
admins = typer.Typer(
    invoke_without_command=True, callback=secret_manager.admin_key, help=secret_manager.admin_key.__doc__
)
_ADMIN_COMMANDS: Mapping[str, Callable[..., None]] = {
    "list": admin_keys.list_administrators,
    "add": admin_keys.add,
    "rotate": admin_keys.rotate,
    "remove": admin_keys.remove,
    "reveal": admin_keys.reveal,
}
_offer(admins, _ADMIN_COMMANDS)
app.add_typer(admins, name="admin-key")
app.add_typer(environments.app, name="environment")
app.add_typer(iam_reviews.app, name="iam-review")
app.command("gcloud-env")(secret_manager.gcloud_env)
tenant = typer.Typer(
    no_args_is_help=True, help="Make tenants, one or many, look at them, change them, let them leave."
)
_TENANT_COMMANDS: Mapping[str, Callable[..., None]] = {
    "create": tenants.create,
    "import": tenant_import.import_file,
    "list": tenants.list_tenants,
    "show": tenants.show,
    "plan": tenant_changes.plan,
    "suspend": tenant_changes.suspend,
    "resume": tenant_changes.resume,
    "offboard": tenant_changes.offboard,
    "batch": tenant_batches.batch,
    "requests": tenant_requests.list_requests,
    "request": tenant_requests.request,
}
_offer(tenant, _TENANT_COMMANDS)
app.add_typer(tenant, name="tenant")
key = typer.Typer(no_args_is_help=True, help="Issue, rotate and revoke tenants' keys, and look at them.")
_KEY_COMMANDS: Mapping[str, Callable[..., None]] = {
    "issue": tenant_keys.issue,
    "list": key_listing.list_keys,
    "show": key_listing.show,
    "rotate": tenant_keys.rotate,
    "reveal": tenant_keys.reveal,
    "revoke": tenant_keys.revoke,
    "revoke-all": tenant_keys.revoke_all,
}
_offer(key, _KEY_COMMANDS)
app.add_typer(key, name="key")
app.add_typer(alerts.app, name="alerts")
app.add_typer(audit.app, name="audit")
app.add_typer(backups.app, name="backup")
app.command()(backups.restore)
release = typer.Typer(
    no_args_is_help=True, help="Release, look at releases, and steer a rollout: each act is a run in Dagster."
)
_RELEASE_COMMANDS: Mapping[str, Callable[..., None]] = {
    "deploy": release_deploy.deploy,
    "list": releases.list_releases,
    "show": releases.show,
    "watch": releases.watch,
    "report": releases.report,
    "pause": release_hands.pause,
    "resume": release_hands.resume,
    "promote": release_hands.promote,
    "abort": release_hands.abort,
    "retry": release_hands.retry,
    "rollback": release_hands.rollback,
    "freeze": release_hands.freeze,
    "unfreeze": release_hands.unfreeze,
    "sign": release_hands.sign,
    "load-test": release_hands.load_test,
}
_offer(release, _RELEASE_COMMANDS)
app.add_typer(release, name="release")
app.add_typer(suites.app, name="suite")


def _print_version(is_wanted: bool) -> None:  # noqa: FBT001 Typer's callback
    if is_wanted:
        from convergence_orchestration import __version__  # noqa: PLC0415

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def convergence(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Take the options that stand before the command; `_HELP` is what is shown."""


def main() -> None:
    """What the `convergence` script runs."""
    app()
