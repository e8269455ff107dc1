import { isGone } from '../aliyun/edge-domains.js'
import { vendorCode } from '../aliyun/oss-client.js'
import { CertError, toCertError } from '../errors.js'
import { type HttpsRecord, readHttpsRecord, writeHttpsRecord } from '../state/https-record.js'
import { withLock } from '../state/lock.js'
import type { StateFolder } from '../state/state-folder.js'
import type { HttpsAim, HttpsChange, HttpsParts, HttpsPlace, HttpsState } from './https-place.js'
import type { HttpsWish } from './https-wish.js'
import { begin, changedSince, emptyRecord, restorableOf, settled, unwound } from './saved-https.js'

/** What is to become of a place. */
export type HttpsVerb =
  | { readonly verb: 'enforce'; readonly wish: HttpsWish }
  | { readonly verb: 'relax' | 'disable' }
  /**
   * @param change the one that is to be put back: where it is not the last, it has been put back already
   * @param overwrites also what somebody else has changed since
   */
  | { readonly verb: 'restore'; readonly change: string; readonly overwrites: boolean }

export interface ChangeOptions {
  /** Where what stands there is saved; without it nothing but plain HTTP is brought back. */
  readonly state: StateFolder | CertError
  /** When this run began: the name of the change, the same at every place. */
  readonly change: string
  /** Says what would be done, and does nothing. */
  readonly dryRun: boolean
  /** How long an emergency waits for others that are at work on the place, in ms. */
  readonly patience: number
  readonly now: () => Date
  readonly signal: AbortSignal
  readonly onWait?: ((owner: string) => void) | undefined
  readonly onChange?: ((done: ChangeReport) => void) | undefined
}

export interface ChangeReport extends Omit<HttpsChange, 'run'> {
  readonly status: 'planned' | 'changed' | 'failed' | 'skipped'
}

export interface PlaceReport {
  readonly status: 'planned' | 'changed' | 'unchanged' | 'failed'
  readonly changes: readonly ChangeReport[]
  /** What stands there when it is over; undefined where that could not be found out. */
  readonly state: HttpsState | undefined
  readonly warnings: readonly string[]
  readonly error: CertError | undefined
}

/**
 * Changes the HTTPS of one place: what stands there is read and saved first, then changed one thing after the other, then
 * read again. It does not throw for the place's sake: what went wrong is in the report.
 * @throws CertError INTERRUPTED
 */
export const changeHttps = async (place: HttpsPlace, verb: HttpsVerb, options: ChangeOptions): Promise<PlaceReport> => {
  const { state, dryRun, signal } = options
  try {
    if (state instanceof CertError || dryRun) return await change(place, verb, options)
    if (verb.verb === 'relax') return await urgently(place, verb, { ...options, state })
    return await alone(place, state, options, signal, () => change(place, verb, options))
  } catch (error) {
    if (signal.aborted) throw error
    return { status: 'failed', changes: [], state: undefined, warnings: [], error: toCertError(error) }
  }
}

const alone = <T>(
  { identity }: HttpsPlace,
  state: StateFolder,
  { onWait }: ChangeOptions,
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> => withLock(state, `https ${identity}`, { signal, onWait }, work)

/** In an emergency nobody waits long for others, nor for a folder in which no lock can be made. */
const urgently = async (
  place: HttpsPlace,
  verb: HttpsVerb,
  options: ChangeOptions & { readonly state: StateFolder },
): Promise<PlaceReport> => {
  const { state, signal, patience } = options
  const waiting = AbortSignal.any([signal, AbortSignal.timeout(patience)])
  let isBegun = false
  try {
    return await alone(place, state, options, waiting, () => {
      isBegun = true
      return change(place, verb, options)
    })
  } catch (error) {
    if (isBegun || signal.aborted) throw error
    return await change(place, verb, options, [`${toCertError(error).message}: that was not waited for`])
  }
}

const change = async (
  place: HttpsPlace,
  verb: HttpsVerb,
  options: ChangeOptions,
  warned: readonly string[] = [],
): Promise<PlaceReport> => {
  const { state, dryRun, signal } = options
  const isUrgent = verb.verb === 'relax'
  const scope = isUrgent ? 'plain HTTP' : undefined
  const book = await Book.open(place, state, isUrgent)
  const said = [...warned, ...book.warnings]
  if (verb.verb === 'restore' && book.record.saved.at(-1)?.change !== verb.change) {
    return { status: 'unchanged', changes: [], state: undefined, warnings: said, error: undefined }
  }
  const before = await place.read(signal, scope).catch((error: unknown) => {
    if (verb.verb !== 'restore' || dryRun || !isNoMore(error)) throw error
    return undefined
  })
  if (before === undefined) {
    // Nothing can be put back there, nor is there anything to be reminded of.
    await book.forget()
    said.push(`there is no ${place.name} any more: what was saved of it is forgotten`)
    return { status: 'unchanged', changes: [], state: undefined, warnings: said, error: undefined }
  }
  const aim = aimOf(verb, book.record, before, place, dryRun, said)
  const { changes, warnings } = place.plan(aim, before)
  said.push(...warnings)
  if (dryRun) {
    const status = changes.length === 0 ? 'unchanged' : 'planned'
    return { status, changes: changes.map(reportOf('planned')), state: before, warnings: said, error: undefined }
  }
  if (changes.length === 0) {
    said.push(...(await book.end(verb, before.parts, options.change)))
    return { status: 'unchanged', changes: [], state: before, warnings: said, error: undefined }
  }
  said.push(...(await book.begin(verb, before.parts, options)))
  const reports: ChangeReport[] = []
  let error: CertError | undefined
  for (const one of changes) {
    const report = error === undefined ? await carryOut(one, signal).catch(toCertError) : 'skipped'
    if (report instanceof CertError) error = report
    const done = reportOf(report instanceof CertError ? 'failed' : report)(one)
    reports.push(done)
    options.onChange?.(done)
  }
  if (signal.aborted && error !== undefined) throw error
  const seen = await place.read(signal, scope).catch(toCertError)
  const after = seen instanceof CertError ? undefined : seen
  // What it holds now is taken for what was asked for: somebody should know that nobody has seen it.
  if (seen instanceof CertError) said.push(`what stands at ${place.name} now could not be looked at: ${seen.message}`)
  if (after !== undefined && error === undefined) said.push(...unlike(changes, after.parts, place.name))
  if (error === undefined)
    said.push(...(await book.end(verb, after?.parts ?? planned(before.parts, changes), options.change)))
  return { status: error === undefined ? 'changed' : 'failed', changes: reports, state: after, warnings: said, error }
}

const carryOut = async ({ run }: HttpsChange, signal: AbortSignal): Promise<'changed'> => {
  await run(signal)
  return 'changed'
}

const reportOf =
  (status: ChangeReport['status']) =>
  ({ part, does, before, after }: HttpsChange): ChangeReport => ({ part, does, before, after, status })

const isNoMore = (error: unknown): boolean => isGone(error) || vendorCode(error) === 'NoSuchBucket'

/** @throws CertError HTTPS_CHANGED_SINCE, and why something could not be read */
const aimOf = (
  verb: HttpsVerb,
  record: HttpsRecord,
  state: HttpsState,
  place: HttpsPlace,
  dryRun: boolean,
  said: string[],
): HttpsAim => {
  if (verb.verb !== 'restore') return verb
  const last = record.saved.at(-1)
  const { parts, foreign } = last === undefined ? { parts: {}, foreign: [] } : restorableOf(last, state, place)
  if (foreign.length > 0 && !verb.overwrites) {
    if (!dryRun) throw changedSince(foreign, place)
    said.push(`${changedSince(foreign, place).message}: only --force puts it back`)
  }
  return { verb: 'restore', parts }
}

/** The record of one place while it is changed. In an emergency, what cannot be written down is a warning. */
class Book {
  readonly warnings: string[] = []
  readonly #folder: StateFolder | undefined
  readonly #isUrgent: boolean
  readonly #settings: HttpsPlace['settings']
  #record: HttpsRecord

  private constructor(
    folder: StateFolder | undefined,
    record: HttpsRecord,
    { settings }: HttpsPlace,
    isUrgent: boolean,
  ) {
    this.#folder = folder
    this.#settings = settings
    this.#record = record
    this.#isUrgent = isUrgent
  }

  /** @throws CertError STATE_UNUSABLE */
  static async open(place: HttpsPlace, state: StateFolder | CertError, isUrgent: boolean): Promise<Book> {
    try {
      if (state instanceof CertError) throw isUrgent ? state : noRecord(state)
      const known = await readHttpsRecord(state, place.identity)
      return new Book(state, known ?? emptyRecord(place), place, isUrgent)
    } catch (error) {
      if (!isUrgent) throw error
      const book = new Book(undefined, emptyRecord(place), place, isUrgent)
      book.warnings.push(`${toCertError(error).message}: what stood at ${place.name} is not saved`)
      return book
    }
  }

  get record(): HttpsRecord {
    return this.#record
  }

  begin(verb: HttpsVerb, before: HttpsParts, { change, now }: ChangeOptions): Promise<string[]> {
    // What is put back is what was saved.
    if (verb.verb === 'restore') return Promise.resolve([])
    const { verb: what } = verb
    return this.#keep((record) => begin(record, { verb: what, change, now: now(), settings: this.#settings }, before))
  }

  end(verb: HttpsVerb, left: HttpsParts, change: string): Promise<string[]> {
    return this.#keep((record) =>
      verb.verb === 'restore' ? unwound(record, verb.change) : settled(record, { verb: verb.verb, change }, left),
    )
  }

  async forget(): Promise<void> {
    await this.#keep(({ relaxedSince: _over, ...rest }) => ({ ...rest, saved: [] }))
  }

  /** By what is on disk at the moment: an emergency may have come in between, which waits for nobody. */
  async #keep(change: (record: HttpsRecord) => HttpsRecord): Promise<string[]> {
    if (this.#folder === undefined) return []
    const known = (await readHttpsRecord(this.#folder, this.#record.identity).catch(() => undefined)) ?? this.#record
    const record = change(known)
    this.#record = record
    if (record === known) return []
    try {
      await writeHttpsRecord(this.#folder, record)
      return []
    } catch (error) {
      if (!this.#isUrgent) throw error
      return [`${toCertError(error).message}: what stood at ${record.name} is not saved`]
    }
  }
}

const noRecord = ({ message, hint, cause }: CertError): CertError =>
  new CertError('STATE_UNUSABLE', `${message}, and nothing is changed without what stands there being saved`, {
    hint,
    cause,
  })

const planned = (before: HttpsParts, changes: readonly HttpsChange[]): HttpsParts => ({
  ...before,
  ...Object.fromEntries(changes.map(({ part, after }) => [part, after])),
})

/** Of a part that is changed twice, the last counts. */
const unlike = (changes: readonly HttpsChange[], after: HttpsParts, name: string): string[] => {
  const wanted = Object.entries(Object.fromEntries(changes.map((one) => [one.part, one.after])))
  const others = wanted.filter(([part, value]) => after[part] !== undefined && after[part] !== value)
  return others.map(
    ([part]) => `${name} took the change of ${part}, and shows something else: look again with acme-oss https status`,
  )
}
