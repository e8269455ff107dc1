import { CertError } from '../errors.js'
import type { HttpsRecord, SavedHttps } from '../state/https-record.js'
import type { HttpsParts, HttpsPlace, HttpsState } from './https-place.js'

/** What is saved of a place before it is changed, and what of it is put back: functions of the record. */

export const emptyRecord = ({ identity, kind, name, settings }: HttpsPlace): HttpsRecord => ({
  schema: 1,
  identity,
  kind,
  name,
  settings,
  saved: [],
})

/** A change that is begun at a place. */
export interface BegunChange {
  readonly verb: SavedHttps['verb']
  /** The run that makes it, the same at every place. */
  readonly change: string
  readonly now: Date
}

/** What stands there goes on record before it is touched; once, however often a change has to be begun anew. */
export const begin = (record: HttpsRecord, { verb, change, now }: BegunChange, before: HttpsParts): HttpsRecord => {
  const last = record.saved.at(-1)
  const isBegun = last !== undefined && last.left === undefined && last.verb === verb
  const { relaxedSince } = record
  const saved: SavedHttps = {
    at: now.toISOString(),
    change,
    verb,
    before,
    ...(relaxedSince !== undefined && { relaxedSince }),
  }
  return {
    ...record,
    // Plain HTTP may be back from the first request on.
    ...(verb === 'relax' && { relaxedSince: relaxedSince ?? now.toISOString() }),
    saved: isBegun ? [...record.saved.slice(0, -1), { ...last, change }] : [...record.saved, saved],
  }
}

/** What is on record once all is as it was to be. */
export const settled = (record: HttpsRecord, verb: SavedHttps['verb'], left: HttpsParts): HttpsRecord => {
  const last = record.saved.at(-1)
  const isOpen = last !== undefined && last.left === undefined && last.verb === verb
  const saved = isOpen ? [...record.saved.slice(0, -1), { ...last, left }] : record.saved
  if (verb === 'relax') return isOpen ? { ...record, saved } : record
  const { relaxedSince, ...rest } = record
  return isOpen || relaxedSince !== undefined ? { ...rest, saved } : record
}

/** What is on record once the last change has been put back. */
export const unwound = ({ relaxedSince: _over, ...record }: HttpsRecord): HttpsRecord => {
  const last = record.saved.at(-1)
  return {
    ...record,
    ...(last?.relaxedSince !== undefined && { relaxedSince: last.relaxedSince }),
    saved: record.saved.slice(0, -1),
  }
}

/** The change that was made last at any of these places; undefined where nothing is saved of them. */
export const lastChange = (records: readonly (HttpsRecord | undefined)[]): string | undefined =>
  records
    .flatMap((record) => record?.saved.at(-1)?.change ?? [])
    .sort()
    .at(-1)

export interface Restorable {
  readonly parts: HttpsParts
  /** Somebody else has changed these since. */
  readonly foreign: readonly string[]
}

/**
 * What a change altered. A certificate that stands there by now is newer than the one that was taken away, so it stays.
 * @throws CertError why a part cannot be compared with what it was
 */
export const restorableOf = (
  { before, left }: SavedHttps,
  { parts: current, unread }: HttpsState,
  { certificatesIn }: HttpsPlace,
): Restorable => {
  const newer = certificatesIn(current)
  // Of a change that was not carried through nobody knows how far it went.
  const altered = Object.keys(before).filter((part) => left === undefined || before[part] !== left[part])
  const parts = altered.filter((part) => !newer.includes(part))
  for (const part of parts) {
    const why = unread[part]
    if (why !== undefined) throw why
  }
  return {
    parts: Object.fromEntries(parts.map((part) => [part, before[part] ?? null])),
    foreign: parts.filter(
      (part) => left !== undefined && current[part] !== left[part] && current[part] !== before[part],
    ),
  }
}

export const changedSince = (foreign: readonly string[], { name }: HttpsPlace): CertError =>
  new CertError('HTTPS_CHANGED_SINCE', `somebody has changed ${foreign.join(', ')} of ${name} since then`, {
    hint: 'see with --dry-run what would be put back; --force does it all the same, and what was changed since is lost',
  })
