"""nearcast policy curve: how much each position is looked at."""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from nearcast_cli.finding import Database, database_options, json_option
from nearcast_cli.tenant import tenant_option

if TYPE_CHECKING:
    from nearcast_config.policy import Exposure
    from nearcast_store.curves.protocol import CurveFit, Look


@click.command("curve")
@tenant_option
@database_options
@json_option
def curve(tenant: str, database: Database, as_json: bool) -> None:
    """The position curve in force: as configured, or as fitted to the exploration share and from what.

    Where none could be fitted it says why.
    """
    exposure, fit, look = asyncio.run(_read(database.find(), tenant))
    if as_json:
        _print(exposure, fit, look)
    else:
        _show(exposure, fit, look)


async def _read(dsn: str, tenant: str) -> "tuple[Exposure, CurveFit | None, Look | None]":
    from nearcast_cli.governing import STATEMENT_S
    from nearcast_cli.operating import check_schema, records_on
    from nearcast_store.curves.postgres import PostgresCurveStore
    from nearcast_store.postgres import open_pool

    pool = await open_pool(dsn, 2, STATEMENT_S, "nearcast cli")
    try:
        await check_schema(pool)
        records, curves = records_on(pool), PostgresCurveStore(pool)
        tenant_id = await records.tenant_id(tenant)
        exposure = (await records.policies.current(tenant_id)).policy.exposure
        return exposure, await curves.latest(tenant_id), await curves.look(tenant_id)
    finally:
        await pool.close()


def _show(exposure: "Exposure", fit: "CurveFit | None", look: "Look | None") -> None:
    from nearcast_cli.printing import print_table

    click.echo(_in_force(exposure, fit))
    if look is not None and look.reason:
        click.echo(f"Looked at {_time(look.looked_at)}: no new curve, as {look.reason}.")
    if fit is not None:
        rows = [
            (str(each.place), str(each.impressions), str(each.successes), f"{each.share:.3f}")
            for each in fit.places
        ]
        print_table(("position", ">impressions", ">successes", ">looked at"), rows)


def _in_force(exposure: "Exposure", fit: "CurveFit | None") -> str:
    if exposure.mode != "pbm":
        return f'exposure.mode is "{exposure.mode}": no curve is used.'
    if exposure.position_curve != "fitted":
        return f"As configured: {', '.join(f'{share:g}' for share in exposure.position_curve)}."
    if fit is not None:
        return f"Curve {fit.number}, fitted {_time(fit.fitted_at)} to what the exploration share showed."
    standing = ", ".join(f"{share:g}" for share in exposure.starting_curve) or "1 everywhere"
    return f"None is fitted yet; until then exposure.starting_curve stands: {standing}."


def _print(exposure: "Exposure", fit: "CurveFit | None", look: "Look | None") -> None:
    from nearcast_cli.printing import print_json

    print_json(
        {
            "mode": exposure.mode,
            "configured": exposure.position_curve,
            "starting": exposure.starting_curve,
            "fit": fit
            and {
                "number": fit.number,
                "fittedAt": _time(fit.fitted_at),
                "shares": fit.shares,
                "positions": [
                    {
                        "position": each.place,
                        "impressions": each.impressions,
                        "successes": each.successes,
                        "share": each.share,
                    }
                    for each in fit.places
                ],
            },
            "lookedAt": look and _time(look.looked_at),
            "lacking": look.reason if look else "",
        }
    )


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
