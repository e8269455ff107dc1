import { label } from './order-in-progress.js'
import type { StateFolder } from './state-folder.js'

/** One order that was placed; without an outcome, nobody knows what became of it. */
export interface PlacedOrder {
  readonly at: string
  readonly outcome?: OrderOutcome | undefined
}

/** `unproven`: it was not the CA that failed, and no other one would have done better. */
export type OrderOutcome = 'issued' | 'failed' | 'unproven'

/** What one CA was asked for one set of names. */
export interface Ledger {
  readonly orders: readonly PlacedOrder[]
  /** The CA has asked to be left alone until then. */
  readonly restUntil?: string | undefined
}

const root = 'orders'
// Longer than the longest limit that any CA is known to count over, in ms.
const longestKept = 8 * 24 * 60 * 60 * 1000
// However long a CA asks to be left alone: certificates of ours would expire over it.
const longestRest = 2 * 24 * 60 * 60 * 1000
const clockSkew = 15 * 60 * 1000

/** The orders for one set of names at one CA, in `orders/<ca>/<names>.json`, whatever the certificate is called. */
export class OrderLedger {
  readonly #state: StateFolder
  readonly #file: readonly string[]
  readonly #now: () => Date

  constructor(state: StateFolder, directory: string, names: readonly string[], now: () => Date) {
    this.#state = state
    this.#file = [root, label(directory), `${[...names].sort().join(',')}.json`]
    this.#now = now
  }

  /** Where it lies, for whoever wants to see it. */
  get path(): string {
    return this.#state.path(...this.#file)
  }

  async read(): Promise<Ledger> {
    const text = await this.#state.read(this.#file)
    try {
      const ledger = JSON.parse(text ?? '{}') as Partial<Ledger>
      const orders = Array.isArray(ledger.orders) ? ledger.orders : []
      const now = this.#now().getTime()
      // What lies in the future was written by a clock that was wrong.
      const isMeant = (at: string, from: number, to: number) =>
        Date.parse(at) > now + from && Date.parse(at) <= now + to
      return {
        orders: orders.filter(({ at }) => isMeant(at, -longestKept, clockSkew)),
        ...(isMeant(ledger.restUntil ?? '', 0, longestRest) && { restUntil: ledger.restUntil }),
      }
    } catch {
      // Whoever had a hand in it wanted to begin anew.
      return { orders: [] }
    }
  }

  /** Written before the CA is asked, so that a process that is killed each time cannot ask for ever. */
  async placing(): Promise<void> {
    const { orders } = await this.read()
    await this.#write({ orders: [...orders, { at: this.#now().toISOString() }] })
  }

  /** What became of the order that was placed last. */
  async ended(outcome: OrderOutcome): Promise<void> {
    const ledger = await this.read()
    const last = ledger.orders.at(-1)
    if (last !== undefined)
      await this.#write({ ...ledger, orders: [...ledger.orders.slice(0, -1), { ...last, outcome }] })
  }

  /**
   * The CA placed none. Nobody counts what it could not do just now; what it will not do counts as an order that failed,
   * or it would be asked for ever.
   * @param rest how long it asked to be left alone, in ms
   */
  async refused(isPassing: boolean, rest: number | undefined): Promise<void> {
    const { orders } = await this.read()
    const last = orders.at(-1)
    const before = orders.slice(0, -1)
    const until = rest === undefined ? undefined : this.#now().getTime() + Math.min(rest, longestRest)
    await this.#write({
      orders: isPassing || last === undefined ? before : [...before, { ...last, outcome: 'failed' }],
      restUntil: until === undefined ? undefined : new Date(until).toISOString(),
    })
  }

  async #write(ledger: Ledger): Promise<void> {
    // What a power cut takes away of it is not missed.
    await this.#state.write(this.#file, `${JSON.stringify(ledger, null, 2)}\n`, { mayBeLost: true })
  }
}
