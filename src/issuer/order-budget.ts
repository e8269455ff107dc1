import { CertError } from '../errors.js'
import type { Ledger, OrderLedger, PlacedOrder } from '../state/order-ledger.js'
import type { Ca } from './ca.js'

/** How many orders there may be in a time, in ms. */
interface Limit {
  readonly count: number
  readonly within: number
  readonly counts: (order: PlacedOrder) => boolean
  readonly what: string
}

const hour = 60 * 60 * 1000
const day = 24 * hour

const isIssued = ({ outcome }: PlacedOrder): boolean => outcome === 'issued'
const isNotIssued = (order: PlacedOrder): boolean => !isIssued(order)

// Stricter than the limits of the CAs, so that something is left for a person: Let's Encrypt takes 5 failures an hour
// for a name, and 5 certificates a week for the same names.
const publicLimits: readonly Limit[] = [
  { count: 4, within: hour, counts: isNotIssued, what: 'orders failed within an hour' },
  { count: 12, within: day, counts: isNotIssued, what: 'orders failed within a day' },
  { count: 4, within: 7 * day, counts: isIssued, what: 'certificates were issued within a week' },
]
// A CA for tests is there to be tried, and one of one's own may issue for a few hours at a time.
const otherLimits: readonly Limit[] = [
  { count: 12, within: hour, counts: isNotIssued, what: 'orders failed within an hour' },
  { count: 60, within: day, counts: isNotIssued, what: 'orders failed within a day' },
  { count: 100, within: day, counts: isIssued, what: 'certificates were issued within a day' },
]

export interface Spent {
  /** When the next order may be placed. */
  readonly until: Date
  /** Why not before: the end of a sentence that begins with the CA and the names. */
  readonly why: string
  /** Was it nothing of the CA's that failed last? Then another one would only be asked too often as well. */
  readonly isOurs: boolean
}

/**
 * Whether a CA may be asked for one more certificate for the same names; undefined where it may.
 * @param isPublic whether it is one of those whose limits the whole world shares
 */
export const spentBudget = (ledger: Ledger, isPublic: boolean, now: Date): Spent | undefined => {
  const spent = (isPublic ? publicLimits : otherLimits).flatMap((limit) => spentOn(limit, ledger, now))
  const rest = ledger.restUntil === undefined ? undefined : new Date(ledger.restUntil)
  if (rest !== undefined && rest > now) spent.push({ until: rest, why: 'it asked to be left alone', isOurs: false })
  return spent.reduce<Spent | undefined>(
    (latest, one) => (latest && latest.until >= one.until ? latest : one),
    undefined,
  )
}

const spentOn = ({ count, within, counts, what }: Limit, { orders }: Ledger, now: Date): Spent[] => {
  const recent = orders.filter((order) => counts(order) && now.getTime() - Date.parse(order.at) < within)
  const first = recent.at(-count)
  if (first === undefined) return []
  const isOurs = recent.at(-1)?.outcome === 'unproven'
  return [{ until: new Date(Date.parse(first.at) + within), why: `${recent.length} ${what}`, isOurs }]
}

/** @throws CertError ORDER_BUDGET_SPENT */
export const requireBudget = async (
  ledger: OrderLedger,
  ca: Ca,
  names: readonly string[],
  now: Date,
): Promise<void> => {
  const spent = spentBudget(await ledger.read(), isPublic(ca), now)
  if (spent === undefined) return
  const { until, why, isOurs } = spent
  const message = `${ca.name} is not asked for ${listed(names)} before ${minute(until)}: ${why}`
  const hint = `CAs shut out who asks too often, so this is waited for; try meanwhile with --ca letsencrypt-staging what was wrong. To order all the same, remove ${ledger.path}`
  throw new OrderBudgetSpent(message, hint, { until, isOurs, wait: until.getTime() - now.getTime() })
}

interface SpentUntil {
  readonly until: Date
  readonly isOurs: boolean
  /** In ms. */
  readonly wait: number
}

/** Another order would be one too many. */
export class OrderBudgetSpent extends CertError {
  readonly #spent: SpentUntil

  constructor(message: string, hint: string | undefined, spent: SpentUntil) {
    super('ORDER_BUDGET_SPENT', message, { passing: true, retryAfter: spent.wait, hint })
    this.#spent = spent
  }

  /** When the next may be placed. */
  get until(): Date {
    return this.#spent.until
  }

  /** See `Spent`. */
  get isOurs(): boolean {
    return this.#spent.isOurs
  }

  saying(message: string): OrderBudgetSpent {
    return new OrderBudgetSpent(message, this.hint, this.#spent)
  }
}

const isPublic = ({ name, isKnown }: Ca): boolean => isKnown && name !== 'letsencrypt-staging'

const listed = (names: readonly string[]): string =>
  names.length > 3 ? `${names.slice(0, 3).join(', ')} and ${names.length - 3} more` : names.join(', ')

const minute = (time: Date): string => `${time.toISOString().slice(0, 16).replace('T', ' ')} UTC`
