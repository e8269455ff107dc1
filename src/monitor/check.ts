import { eachOf } from '../each-of.js'
import { toCertError } from '../errors.js'
import { interrupted, unlessAborted, withDeadline } from '../patience.js'

/** What came of looking at one thing: sentences without capital and full stop, which name the thing. */
export type Outcome =
  | { readonly status: 'ok'; readonly sentence: string }
  | { readonly status: 'warning' | 'failed'; readonly sentence: string; readonly hint: string }
  /** It was not looked at, or could not be: why. */
  | { readonly status: 'unknown'; readonly sentence: string; readonly hint?: string | undefined }

/** The outcome for one of several things that only looking could find. */
export type OutcomeOf = Outcome & { readonly of: string }

export const abouts = [
  'program',
  'configuration',
  'state',
  'timer',
  'credentials',
  'clock',
  'bucket',
  'permissions',
  'domains',
  'dns',
  'served',
  'roots',
] as const

export type About = (typeof abouts)[number]

/** One look at one thing that deployments depend on. Nothing is changed by it. */
export interface Check {
  /** The same in every run; where there are several outcomes, what each is of stands behind it. */
  readonly id: string
  readonly about: About
  /** As a sentence begins that says why it was not looked at. */
  readonly what: string
  /** It takes the network. */
  readonly reaches?: true
  run(signal: AbortSignal): Promise<Outcome | readonly OutcomeOf[]>
}

export interface Finding {
  readonly id: string
  readonly about: About
  readonly status: Outcome['status']
  readonly sentence: string
  readonly hint: string | undefined
}

export const ok = (sentence: string): Outcome => ({ status: 'ok', sentence })
export const warning = (sentence: string, hint: string): Outcome => ({ status: 'warning', sentence, hint })
export const failed = (sentence: string, hint: string): Outcome => ({ status: 'failed', sentence, hint })
export const unknown = (sentence: string, hint?: string): Outcome => ({ status: 'unknown', sentence, hint })

/** Not being able to look is an answer as well. */
export const unknownBy = (error: unknown, what: string): Outcome => {
  const { code, message, hint } = toCertError(error)
  // What to do about those is said where they are looked for.
  return unknown(`${what}: ${message}`, code === 'CREDENTIALS_MISSING' ? undefined : hint)
}

export const failedBy = (error: unknown): Outcome => {
  const { message, hint } = toCertError(error)
  return failed(message, hint ?? 'run it again with --verbose')
}

// Each waits for the network most of its time; what one machine has open at once is limited all the same.
const atOnce = 64

export interface RunOptions {
  /** For each check, in ms. */
  readonly timeout: number
  readonly offline: boolean
  readonly signal: AbortSignal
}

/**
 * Runs all checks side by side: what becomes of one keeps no other from running.
 * @throws CertError INTERRUPTED
 */
export const runChecks = async (
  checks: readonly Check[],
  { timeout, offline, signal }: RunOptions,
): Promise<Finding[]> => {
  const findings = await eachOf(checks, atOnce, async (check): Promise<Finding[]> => {
    const { id, about, what, reaches } = check
    if (offline && reaches) return [findingOf({ id, about }, unknown(`${what}: not looked at (--offline)`))]
    try {
      const found = await withDeadline(timeout, signal, (limited) => unlessAborted(check.run(limited), limited))
      return 'status' in found
        ? [findingOf({ id, about }, found)]
        : found.map((one) => findingOf({ id: `${id} ${one.of}`, about }, one))
    } catch (error) {
      if (signal.aborted) throw interrupted()
      return [findingOf({ id, about }, unfinished(error, what, timeout))]
    }
  })
  return findings.flat()
}

const unfinished = (error: unknown, what: string, timeout: number): Outcome =>
  error instanceof DOMException && error.name === 'TimeoutError'
    ? unknown(`${what}: no answer within ${timeout / 1000} s`, 'give it longer with --timeout SECONDS')
    : unknownBy(error, what)

const findingOf = (check: Pick<Check, 'id' | 'about'>, outcome: Outcome): Finding => ({
  ...check,
  status: outcome.status,
  sentence: outcome.sentence,
  hint: 'hint' in outcome ? outcome.hint : undefined,
})
