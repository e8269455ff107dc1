import { OrderBudgetSpent } from '../issuer/order-budget.js'
import { exitCodes } from './command.js'
import { printable, showFailure } from './deployment.js'
import { dayOf } from './issued.js'
import { errorJson } from './json.js'
import type { Renewed } from './renewals.js'
import type { Terminal } from './terminal.js'

/** Has every CA been asked often enough for now, and is there a certificate until one is asked again? As good as not due. */
const isWaiting = ({ due, error }: Renewed): boolean =>
  error instanceof OrderBudgetSpent && due?.due === true && due.validUntil !== undefined && error.until < due.validUntil

/** What failed counts; what was not due does not. */
export const statusOfRenewals = (renewed: readonly Renewed[]): number => {
  const statuses = renewed
    .filter((one) => !isWaiting(one))
    .flatMap(({ ended, error }) =>
      error !== undefined ? [exitCodes.failed] : ended === undefined ? [] : [ended.status],
    )
  if (statuses.every((status) => status === exitCodes.done)) return exitCodes.done
  return statuses.every((status) => status === exitCodes.failed) ? exitCodes.failed : exitCodes.partly
}

/** One entry for each certificate that we issue, due or not. */
export const renewedJson = (renewed: readonly Renewed[]) =>
  renewed.map(({ name, due, ended, error }) => ({
    name,
    due: due === undefined ? null : due.due,
    why: due?.due ? due.why : null,
    renewal: due === undefined || due.due ? null : due.at.toISOString(),
    certificate: ended?.result.certificate ?? null,
    order: ended?.result.order ?? null,
    stages: ended?.result.stages ?? [],
    pending: ended?.result.pending ?? [],
    warnings: ended?.result.warnings ?? [],
    error: error === undefined ? null : errorJson(error),
  }))

export const showRenewed = (terminal: Terminal, renewed: readonly Renewed[], isPlan: boolean): void => {
  for (const one of renewed) {
    const { name, due, error } = one
    if (isWaiting(one)) terminal.warning(`${printable(name)}: ${error?.message}`)
    else if (error !== undefined)
      showFailure(terminal, error.message.startsWith(`${name}: `) ? 'renew' : printable(name), error)
    else if (isPlan && due?.due) terminal.result(`${printable(name)} would be renewed: ${due.why}`)
  }
  terminal.progress(summary(renewed, isPlan))
}

const summary = (renewed: readonly Renewed[], isPlan: boolean): string => {
  const count = (is: (one: Renewed) => boolean) => renewed.filter(is).length
  const done = count(({ ended }) => ended?.status === exitCodes.done)
  const partly = count(({ ended }) => ended !== undefined && ended.status !== exitCodes.done)
  const failed = count(({ error }) => error !== undefined)
  const waiting = renewed.flatMap(({ name, due }) => (due?.due === false ? [{ name, at: due.at }] : []))
  const next = waiting.reduce<(typeof waiting)[number] | undefined>((a, b) => (a && a.at <= b.at ? a : b), undefined)
  const parts = [
    ...(done > 0 ? [`${done} renewed`] : []),
    ...(partly > 0 ? [`${partly} renewed and not everywhere in place`] : []),
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(isPlan ? [`${count(({ due }) => due?.due === true)} due`] : []),
    ...(next === undefined
      ? []
      : [`${waiting.length} not due (the next one is ${printable(next.name)}, on ${dayOf(next.at)})`]),
  ]
  return parts.length === 0 ? 'there is no certificate here for acme-oss to renew' : parts.join(', ')
}
