"""The protocol of a file: what became of it, in Russian, for its sender. Names no person and no address."""

from engine.money import format_roubles_human
from engine.registers import LineOutcome
from storage import registers
from storage.received import ReceivedFile

OUTCOME_TITLES = {
    LineOutcome.WAITING: "ещё не обработано",
    LineOutcome.MATCHED: "совпало с принятым онлайн",
    LineOutcome.DATE_SHIFT: "совпало, но операционный день другой",
    LineOutcome.AMOUNT_MISMATCH: "сумма не совпала",
    LineOutcome.ACCOUNT_MISMATCH: "лицевой счёт не совпал",
    LineOutcome.DUPLICATE: "повтор операции",
    LineOutcome.MISSING_ONLINE: "онлайн не приходило, принято по реестру",
    LineOutcome.UNKNOWN_ACCOUNT: "счёт неизвестен, деньги среди невыясненных",
    LineOutcome.REVERSED: "возврат, платёж отменён",
    LineOutcome.REFUND: "возврат, требует оператора",
    LineOutcome.REJECTED: "отклонено",
}


async def protocol_of(database_url: str, file: ReceivedFile) -> str:
    """Write what became of a file."""
    told = [f"Файл {file.name}", f"Номер {file.file}, SHA-256 {file.sha256}", f"Профиль {file.profile}"]
    if file.state == "refused":
        return "\n".join([*told, "Отказано целиком, ничего не проведено:", file.problem, ""])
    register = await registers.find(database_url, file.file)
    if register is None:
        return "\n".join([*told, f"Принято строк выписки: {file.rows_total}", ""])
    told.append(
        f"Операционный день {register.day:%d.%m.%Y}, строк {register.lines}, "
        f"принято {format_roubles_human(register.paid_kopecks)}, "
        f"перечислено {format_roubles_human(register.transferred_kopecks)}, "
        f"удержано {format_roubles_human(register.fee_kopecks)}"
    )
    told += [
        f"{OUTCOME_TITLES[LineOutcome(one.outcome)]}: {one.lines} на {format_roubles_human(one.theirs_kopecks)}"
        for one in await registers.sums(database_url, file.file)
    ]
    problems = await registers.problems(database_url, file.file, limit=100)
    return "\n".join([*told, *(f"строка {row}: {text}" for row, text in problems), ""])
