import { CertError, toCertError } from '../errors.js'
import { type HttpsRecord, readHttpsRecord, type SavedHttps, writeHttpsRecord } from '../state/https-record.js'
import { withLock } from '../state/lock.js'
import type { StateFolder } from '../state/state-folder.js'
import type { HttpsAim, HttpsChange, HttpsParts, HttpsPlace, HttpsState } from './https-place.js'
import type { HttpsWish } from './https-wish.js'

/** What is to become of a place. */
export type HttpsVerb =
  | { readonly verb: 'enforce'; readonly wish: HttpsWish }
  | { readonly verb: 'relax' | 'disable' }
  /** @param overwrites also what somebody else has changed since */
  | { readonly verb: 'restore'; readonly overwrites: boolean }

export interface ChangeOptions {
  /** Where what stands there is saved; without it nothing but plain HTTP is brought back. */
  readonly state: StateFolder | CertError
  /** Says what would be done, and does nothing. */
  readonly dryRun: boolean
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
  const { state, dryRun, signal, onWait } = options
  try {
    if (state instanceof CertError) return await change(place, verb, undefined, options)
    if (dryRun) return await change(place, verb, state, options)
    return await withLock(state, `https ${place.identity}`, { signal, onWait }, () =>
      change(place, verb, state, options),
    )
  } catch (error) {
    if (signal.aborted) throw error
    return { status: 'failed', changes: [], state: undefined, warnings: [], error: toCertError(error) }
  }
}

const change = async (
  place: HttpsPlace,
  verb: HttpsVerb,
  folder: StateFolder | undefined,
  options: ChangeOptions,
): Promise<PlaceReport> => {
  const { state, dryRun, now, signal } = options
  const record = (folder && (await readHttpsRecord(folder, place.identity))) ?? emptyRecord(place)
  const before = await place.read(signal)
  const { changes, warnings } = place.plan(aimOf(verb, record, before, place), before)
  const said = [...warnings]
  if (dryRun) {
    const status = changes.length === 0 ? 'unchanged' : 'planned'
    return { status, changes: changes.map(reportOf('planned')), state: before, warnings: said, error: undefined }
  }
  if (changes.length === 0) {
    if (folder !== undefined) await keep(folder, record, settled(record, verb, before.parts))
    return { status: 'unchanged', changes: [], state: before, warnings: said, error: undefined }
  }
  const begun = begin(record, verb, before.parts, now())
  if (folder !== undefined) await keep(folder, record, begun)
  // An emergency does not wait for a disk.
  else if (verb.verb === 'relax') said.push(`${unsaved(state)}: what stood at ${place.name} is not saved`)
  else
    throw new CertError(
      'STATE_UNUSABLE',
      `${unsaved(state)}, and nothing is changed without what stands there being saved`,
      { hint: 'give a folder that this user can write with --state-dir or ACME_OSS_STATE_DIR' },
    )

  const reports: ChangeReport[] = []
  let error: CertError | undefined
  for (const one of changes) {
    const report = error === undefined ? await carryOut(one, signal).catch(toFailure) : 'skipped'
    if (report instanceof CertError) error = report
    const done = reportOf(report instanceof CertError ? 'failed' : report)(one)
    reports.push(done)
    options.onChange?.(done)
  }
  if (signal.aborted && error !== undefined) throw error
  const after = await place.read(signal).catch(() => undefined)
  if (after !== undefined && error === undefined) said.push(...unlike(changes, after.parts, place.name))
  if (folder !== undefined && error === undefined) {
    await keep(folder, begun, settled(begun, verb, after?.parts ?? planned(before.parts, changes)))
  }
  return { status: error === undefined ? 'changed' : 'failed', changes: reports, state: after, warnings: said, error }
}

const carryOut = async ({ run }: HttpsChange, signal: AbortSignal): Promise<'changed'> => {
  await run(signal)
  return 'changed'
}

const toFailure = (error: unknown): CertError => toCertError(error)

const reportOf =
  (status: ChangeReport['status']) =>
  ({ part, does, before, after }: HttpsChange): ChangeReport => ({ part, does, before, after, status })

const unsaved = (state: StateFolder | CertError): string =>
  state instanceof CertError ? state.message : 'there is no state folder'

const emptyRecord = ({ identity, kind, name, settings }: HttpsPlace): HttpsRecord => ({
  schema: 1,
  identity,
  kind,
  name,
  settings,
  saved: [],
})

const keep = async (folder: StateFolder, before: HttpsRecord, after: HttpsRecord): Promise<void> => {
  if (before !== after) await writeHttpsRecord(folder, after)
}

/** @throws CertError USAGE, HTTPS_CHANGED_SINCE */
const aimOf = (verb: HttpsVerb, record: HttpsRecord, state: HttpsState, place: HttpsPlace): HttpsAim => {
  if (verb.verb !== 'restore') return verb
  const last = record.saved.at(-1)
  if (last === undefined) {
    throw new CertError(
      'USAGE',
      `nothing is saved of ${place.name}: acme-oss changed nothing there, or put it back already`,
      {
        hint: 'acme-oss https status shows what stands there now',
      },
    )
  }
  return { verb: 'restore', parts: partsToRestore(last, state.parts, place, verb.overwrites) }
}

/**
 * What the change altered and nobody else has since. A certificate that stands there by now is newer than the one that
 * was taken away, so it stays.
 * @throws CertError HTTPS_CHANGED_SINCE
 */
const partsToRestore = (
  { before, left }: SavedHttps,
  current: HttpsParts,
  { name, certificatesIn }: HttpsPlace,
  overwrites: boolean,
): HttpsParts => {
  // Of a change that was not carried through nobody knows how far it went.
  const altered = Object.keys(before).filter((part) => left === undefined || before[part] !== left[part])
  const newer = certificatesIn(current)
  const parts = altered.filter((part) => !newer.includes(part))
  const foreign = parts.filter(
    (part) => left !== undefined && current[part] !== left[part] && current[part] !== before[part],
  )
  if (foreign.length > 0 && !overwrites) {
    throw new CertError('HTTPS_CHANGED_SINCE', `somebody has changed ${foreign.join(', ')} of ${name} since then`, {
      hint: 'see with --dry-run what would be put back; --force does it all the same, and what was changed since is lost',
    })
  }
  return Object.fromEntries(parts.map((part) => [part, before[part] ?? null]))
}

/** What stands there goes on record before it is touched; once, however often a change has to be begun anew. */
const begin = (record: HttpsRecord, { verb }: HttpsVerb, before: HttpsParts, now: Date): HttpsRecord => {
  if (verb === 'restore') return record
  const last = record.saved.at(-1)
  const isBegun = last !== undefined && last.left === undefined && last.verb === verb
  const { relaxedSince } = record
  const saved: SavedHttps = { at: now.toISOString(), verb, before, ...(relaxedSince !== undefined && { relaxedSince }) }
  return {
    ...record,
    // Plain HTTP may be back from the first request on.
    ...(verb === 'relax' && { relaxedSince: relaxedSince ?? now.toISOString() }),
    saved: isBegun ? record.saved : [...record.saved, saved],
  }
}

/** What is on record once all is as it was to be. */
const settled = (record: HttpsRecord, { verb }: HttpsVerb, left: HttpsParts): HttpsRecord => {
  const last = record.saved.at(-1)
  const earlier = record.saved.slice(0, -1)
  const { relaxedSince, ...rest } = record
  if (verb === 'restore') {
    return { ...rest, ...(last?.relaxedSince !== undefined && { relaxedSince: last.relaxedSince }), saved: earlier }
  }
  const isOpen = last !== undefined && last.left === undefined && last.verb === verb
  const saved = isOpen ? [...earlier, { ...last, left }] : record.saved
  if (verb === 'relax') return isOpen ? { ...record, saved } : record
  return isOpen || relaxedSince !== undefined ? { ...rest, saved } : record
}

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
