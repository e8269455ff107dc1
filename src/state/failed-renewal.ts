import type { CertError } from '../errors.js'
import type { RecordedError } from './deployment-record.js'
import type { StateFolder } from './state-folder.js'

/** Why a certificate could not be renewed, as it lies in `certificates/<name>/renewal.json` until it was. */
export interface FailedRenewal {
  readonly schema: 1
  /** The first time since it last went well, and the last time. */
  readonly since: string
  readonly at: string
  readonly tries: number
  /** May it go well by itself? */
  readonly passing: boolean
  /** No CA is asked before then: each has been asked often enough. */
  readonly next: string | undefined
  readonly error: RecordedError
}

const root = 'certificates'
const file = 'renewal.json'

/** Somebody broke off, or is at work on it: that says nothing of the certificate. */
const saysNothing: readonly string[] = ['INTERRUPTED', 'LOCKED'] satisfies readonly CertError['code'][]

/**
 * Writes down that a renewal failed, so that others than who ran it can say why. Never fails: the renewal itself matters
 * more.
 * @param next when the next order may be placed, where none was for having been placed too often
 */
export const keepFailedRenewal = async (
  state: StateFolder,
  name: string,
  error: CertError,
  now: Date,
  next?: Date,
): Promise<void> => {
  if (saysNothing.includes(error.code)) return
  try {
    const text = JSON.stringify(failedAgain(readFailedRenewal(state, name), error, now, next), null, 2)
    await state.write([root, name, file], `${text}\n`, { mayBeLost: true })
  } catch {
    // What keeps it from being written is told by what failed.
  }
}

/** What failed first is what to mend: that no more orders are placed for it comes of that. */
export const failedAgain = (
  before: FailedRenewal | undefined,
  { code, message, hint, vendor, passing }: CertError,
  now: Date,
  next: Date | undefined,
): FailedRenewal => {
  const at = now.toISOString()
  if (before !== undefined && next !== undefined) return { ...before, at, next: next.toISOString() }
  return {
    schema: 1,
    since: before?.since ?? at,
    at,
    tries: (before?.tries ?? 0) + 1,
    passing,
    next: next?.toISOString(),
    error: { code, message, hint, vendor },
  }
}

/** What somebody else's hand was in counts as none: the next failure is written over it. */
export const readFailedRenewal = (state: StateFolder, name: string): FailedRenewal | undefined => {
  const text = state.readNow([root, name, file])
  if (text === undefined) return undefined
  try {
    const value: unknown = JSON.parse(text)
    return isFailedRenewal(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** It went well, or is not due, or not wanted any more. */
export const removeFailedRenewal = async (state: StateFolder, name: string): Promise<void> => {
  // Mostly there is none, among thousands.
  if (state.isThereNow([root, name, file])) await state.remove([root, name, file]).catch(() => undefined)
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isText = (value: unknown): value is string => typeof value === 'string'

const isDate = (value: unknown): boolean => isText(value) && !Number.isNaN(Date.parse(value))

const isFailedRenewal = (value: unknown): value is FailedRenewal =>
  isObject(value) &&
  value['schema'] === 1 &&
  [value['since'], value['at']].every(isDate) &&
  typeof value['tries'] === 'number' &&
  typeof value['passing'] === 'boolean' &&
  (value['next'] === undefined || isDate(value['next'])) &&
  isObject(value['error']) &&
  [value['error']['code'], value['error']['message']].every(isText) &&
  (value['error']['hint'] === undefined || isText(value['error']['hint']))
