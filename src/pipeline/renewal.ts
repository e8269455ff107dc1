import { breath } from '../breath.js'
import { momentIn, nextLook, type Window } from '../certificate/renewal-time.js'
import {
  type CertificateRecord,
  CertificateStore,
  type IssuedVersion,
  type RenewalAdvice,
} from '../state/certificates.js'
import { withLock } from '../state/lock.js'
import type { StateFolder } from '../state/state-folder.js'
import { type Due, dueness, type Wanted } from './due.js'
import { isBegun } from './obtain.js'

/** What a CA said of when to renew; without a window, it said nothing of use. */
export interface Advised {
  readonly window: Window | undefined
  readonly explanation?: string | undefined
  /** When it wants to be asked again, in ms. */
  readonly retryAfter: number | undefined
}

export interface DecideOptions {
  readonly state: StateFolder
  readonly now: () => Date
  readonly signal: AbortSignal
  /** Asks the CA that issued it. Never fails. */
  readonly advise: (version: IssuedVersion & { readonly renewalId: string }) => Promise<Advised>
  /** From 0 to 1. */
  readonly chance: () => number
  /** Is what the CA says written down? */
  readonly isKept: boolean
}

/**
 * Whether a certificate is to be renewed now. Its CA is asked what it thinks, when it is time to ask again.
 * @throws CertError STATE_UNUSABLE, LOCKED
 */
export const decide = async (wanted: Wanted, options: DecideOptions): Promise<Due> => {
  const { state, now } = options
  await breath()
  const store = new CertificateStore(state, wanted.name)
  const record = await store.read()
  const due = dueness(wanted, record, now())
  if (due.due) return due
  if (await isBegun(state, wanted)) {
    const validUntil = record?.current && new Date(record.current.notAfter)
    return { due: true, why: 'an order was begun and is not at its end', validUntil }
  }
  const version = record?.current
  if (record === undefined || version?.renewalId === undefined || !options.isKept || !isTimeToAsk(version, now()))
    return due
  const advised = await options.advise({ ...version, renewalId: version.renewalId })
  // Cut off by us, it says nothing of the CA.
  if (options.signal.aborted) return due
  const advice = newAdvice(version.advice, advised, options.chance, now())
  const known = await keepAdvice(store, version.id, advice, wanted.name, options)
  return dueness(wanted, known ?? record, now())
}

const isTimeToAsk = ({ advice }: IssuedVersion, now: Date): boolean => {
  const look = Date.parse(advice?.nextLook ?? '')
  // Later than it can have been meant, if the clock was wrong.
  return !(look > now.getTime() && look <= nextLook(now, Number.POSITIVE_INFINITY).getTime())
}

/** The moment stays as long as the window does: drawn at every look, it would always be an early one. */
export const newAdvice = (
  before: RenewalAdvice | undefined,
  { window, explanation, retryAfter }: Advised,
  chance: () => number,
  now: Date,
): RenewalAdvice => {
  const next = { nextLook: nextLook(now, retryAfter).toISOString() }
  // What it said before holds until it says something else.
  if (window === undefined) return { ...before, ...next }
  const dates = { start: window.start.toISOString(), end: window.end.toISOString() }
  const isSame = before?.window?.start === dates.start && before.window.end === dates.end
  const at = isSame && before?.at !== undefined ? before.at : momentIn(window, chance()).toISOString()
  return { window: dates, at, explanation, ...next }
}

/** Another process may have renewed it meanwhile. */
const keepAdvice = async (
  store: CertificateStore,
  id: string,
  advice: RenewalAdvice,
  name: string,
  { state, signal }: DecideOptions,
): Promise<CertificateRecord | undefined> =>
  await withLock(state, `issue ${name}`, { signal }, async () => {
    const record = await store.read()
    if (record?.current?.id !== id) return record
    const advised = { ...record, current: { ...record.current, advice } }
    await store.keepRecord(advised)
    return advised
  })
