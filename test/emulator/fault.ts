import { seededRandom } from './random.js'
import { wildcard } from './wildcard.js'

/** Which requests a rule is about; what is left out matches all. All that is given must hold. */
export interface FaultCondition {
  readonly method?: string
  /** `oss:PutObject`; `*` and `?` are wildcards. */
  readonly action?: string
  readonly bucket?: string
  /** The object's key; the domain names of CDN and DCDN calls that name any. */
  readonly key?: string | RegExp
  /** The n-th of the requests that match the above, counted from 1. */
  readonly nth?: number | readonly number[]
  /** From the n-th on. */
  readonly from?: number
  /** Each n-th. */
  readonly every?: number
  /** The chance of each, drawn from `seed` (1 unless told). */
  readonly probability?: number
  readonly seed?: number
}

export type Fault =
  | {
      readonly status: number
      readonly code: string
      readonly message?: string
      readonly headers?: Readonly<Record<string, string>>
    }
  /** The connection is reset: before the request is carried out, or after, so that only the answer is lost. */
  | { readonly reset: 'before' | 'after' }
  /** No answer, ever. */
  | { readonly hang: true }
  /** Late, otherwise as if nothing had happened; rules behind this one may still strike. */
  | { readonly delayMs: number }
  /** The answer announces more bytes than it has. */
  | { readonly cutBody: true }
  /** A proxy's HTML page with this status; the request is not carried out. */
  | { readonly html: number }

export interface FaultHandle {
  /** How often the rule has struck. */
  readonly hits: number
  remove(): void
}

/** What a rule can see of a request. */
export interface FaultTarget {
  readonly method: string
  readonly action: string | undefined
  readonly bucket: string | undefined
  readonly key: string | undefined
}

/** A delayed fate may be no fault at all. */
export interface Fate {
  readonly delayMs: number
  readonly fault: Exclude<Fault, { readonly delayMs: number }> | undefined
}

const concerns = (when: FaultCondition, target: FaultTarget): boolean => {
  if (when.method !== undefined && when.method !== target.method) return false
  if (when.action !== undefined && !wildcard(when.action, target.action ?? '')) return false
  if (when.bucket !== undefined && when.bucket !== target.bucket) return false
  if (when.key === undefined) return true
  if (target.key === undefined) return false
  return typeof when.key === 'string' ? when.key === target.key : target.key.search(when.key) >= 0
}

/** Counts and draws for every request it is shown, so that the same traffic always meets the same fate. */
const counter = (when: FaultCondition): ((target: FaultTarget) => boolean) => {
  const random = seededRandom(when.seed ?? 1)
  const nth = when.nth === undefined ? undefined : [when.nth].flat()
  let seen = 0
  return (target) => {
    if (!concerns(when, target)) return false
    seen += 1
    const lucky = when.probability === undefined || random() < when.probability
    return (
      lucky &&
      (nth === undefined || nth.includes(seen)) &&
      (when.from === undefined || seen >= when.from) &&
      (when.every === undefined || seen % when.every === 0)
    )
  }
}

interface Rule {
  readonly strikes: (target: FaultTarget) => boolean
  readonly fault: Fault
  hits: number
}

/** The rules in force. Each counts on its own; of those that strike at once, the oldest wins, after all delays. */
export class FaultBook {
  readonly #rules = new Set<Rule>()

  add(when: FaultCondition, fault: Fault): FaultHandle {
    const rule: Rule = { strikes: counter(when), fault, hits: 0 }
    this.#rules.add(rule)
    return {
      get hits() {
        return rule.hits
      },
      remove: () => void this.#rules.delete(rule),
    }
  }

  fate(target: FaultTarget): Fate {
    let delayMs = 0
    let first: Fate['fault']
    for (const rule of this.#rules) {
      if (!rule.strikes(target)) continue
      if ('delayMs' in rule.fault) delayMs += rule.fault.delayMs
      else if (first === undefined) first = rule.fault
      else continue
      rule.hits += 1
    }
    return { delayMs, fault: first }
  }
}
