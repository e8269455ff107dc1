import { CertError } from '../errors.js'
import type { HttpsRecord, SavedHttps } from '../state/https-record.js'
import type { HttpsParts, HttpsPlace, HttpsState } from './https-place.js'

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
  /** Of the place, as it is named this time. */
  readonly settings: HttpsPlace['settings']
}

/** What stands there goes on record before it is touched; once, however often a change has to be begun anew. */
export const begin = (
  record: HttpsRecord,
  { verb, change, now, settings }: BegunChange,
  before: HttpsParts,
): HttpsRecord => {
  const { relaxedSince } = record
  const known = record.saved.some((one) => one.change === change)
  const fresh: SavedHttps = {
    at: now.toISOString(),
    change,
    verb,
    before,
    ...(relaxedSince !== undefined && { relaxedSince }),
  }
  return {
    ...record,
    settings: { ...record.settings, ...settings, ...domainsOf(record.settings, settings) },
    // Plain HTTP may be back from the first request on.
    ...(verb === 'relax' && { relaxedSince: relaxedSince ?? now.toISOString() }),
    // Until it has ended once more, nobody knows how far it has come.
    saved: known ? record.saved.map((one) => (one.change === change ? reopened(one) : one)) : [...record.saved, fresh],
  }
}

/** All that were ever meant: what is put back has to be found again. */
const domainsOf = (...all: readonly HttpsPlace['settings'][]): { domains?: string } => {
  const named = all.flatMap(({ domains }) => (typeof domains === 'string' ? domains.split(',') : []))
  return named.length === 0 ? {} : { domains: [...new Set(named)].sort().join() }
}

const reopened = ({ left: _left, ...one }: SavedHttps): SavedHttps => one

/** What is on record once all is as it was to be. Others may have begun something since. */
export const settled = (
  record: HttpsRecord,
  { verb, change }: Pick<BegunChange, 'verb' | 'change'>,
  left: HttpsParts,
): HttpsRecord => {
  const open = record.saved.find((one) => one.change === change && one.left === undefined)
  const saved = open === undefined ? record.saved : record.saved.map((one) => (one === open ? { ...one, left } : one))
  const isLast = open === undefined || open === record.saved.at(-1)
  if (verb === 'relax' || !isLast) return open === undefined ? record : { ...record, saved }
  const { relaxedSince, ...rest } = record
  return open !== undefined || relaxedSince !== undefined ? { ...rest, saved } : record
}

/** What is on record once a change has been put back. */
export const unwound = (record: HttpsRecord, change: string): HttpsRecord => {
  const undone = record.saved.find((one) => one.change === change)
  const saved = record.saved.filter((one) => one !== undone)
  if (undone === undefined || undone !== record.saved.at(-1)) return { ...record, saved }
  const { relaxedSince: _over, ...rest } = record
  return { ...rest, ...(undone.relaxedSince !== undefined && { relaxedSince: undone.relaxedSince }), saved }
}

/** A change of this kind that was not carried through at some of these places: it is gone on with under its name. */
export const openChange = (
  records: readonly (HttpsRecord | undefined)[],
  verb: SavedHttps['verb'],
): string | undefined =>
  records
    .flatMap((record) => {
      const last = record?.saved.at(-1)
      return last !== undefined && last.verb === verb && last.left === undefined ? [last.change] : []
    })
    .sort()
    .at(-1)

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
  { certificatesIn, isAlike }: HttpsPlace,
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
      (part) =>
        left !== undefined &&
        current[part] !== left[part] &&
        current[part] !== before[part] &&
        isAlike?.(part, current[part] ?? null, before[part] ?? null) !== true,
    ),
  }
}

export const changedSince = (foreign: readonly string[], { name }: HttpsPlace): CertError =>
  new CertError('HTTPS_CHANGED_SINCE', `somebody has changed ${foreign.join(', ')} of ${name} since then`, {
    hint: 'see with --dry-run what would be put back; --force does it all the same, and what was changed since is lost',
  })
