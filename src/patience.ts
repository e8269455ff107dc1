import { setTimeout as sleep } from 'node:timers/promises'
import { CertError, systemCode } from './errors.js'

export interface PatienceOptions {
  /** The deadline of one request with all its retries, in ms. */
  readonly timeout: number
  readonly signal: AbortSignal
  /** Waited for before each attempt; the deadline waits as well. */
  readonly turn?: ((signal: AbortSignal) => Promise<void>) | undefined
  /** Told before each pause. */
  readonly onRetry?: ((error: CertError, pause: number) => void) | undefined
}

// One attempt gets at most a third of the time, and no longer than this, in ms, so that a connection that went silent
// leaves time for another.
const longestAttempt = 20_000
const shortestAttempt = 1000
const firstPause = 200
const longestPause = 20_000
// A name that does not resolve is mostly a typing error; a resolver that is down recovers in the sync after this.
const lookupsBeforeGivingUp = 3

/**
 * Runs `attempt` again while its failure may pass by itself: exponential pauses with full jitter, or what the other
 * side asked for, until the deadline.
 * @throws CertError what `attempt` threw last, or INTERRUPTED
 */
export const patiently = async <T>(
  attempt: (signal: AbortSignal) => Promise<T>,
  { timeout, signal, turn, onRetry }: PatienceOptions,
): Promise<T> => {
  let deadline = performance.now() + timeout
  const longest = Math.min(longestAttempt, Math.max(shortestAttempt, timeout / 3))
  for (let tries = 1; ; tries++) {
    const since = performance.now()
    await turn?.(signal)
    deadline += performance.now() - since
    const left = deadline - performance.now()
    try {
      return await withDeadline(Math.min(left, longest), signal, attempt)
    } catch (error) {
      if (signal.aborted) throw interrupted()
      if (!(error instanceof CertError) || !error.passing) throw error
      if (systemCode(error.cause) === 'ENOTFOUND' && tries >= lookupsBeforeGivingUp) throw error
      const ceiling = Math.min(longestPause, firstPause * 2 ** (tries - 1))
      const pause = Math.max(error.retryAfter ?? 0, Math.random() * ceiling)
      if (performance.now() + pause >= deadline) throw error
      onRetry?.(error, pause)
      await sleep(pause, undefined, { signal }).catch(() => {
        throw interrupted()
      })
    }
  }
}

/**
 * Runs `work` with a signal that aborts with `signal`, or with a TimeoutError after `limit` ms. `AbortSignal.any` over an
 * `AbortSignal.timeout` is no substitute: the garbage collector takes the latter away, and then it never fires.
 */
export const withDeadline = async <T>(
  limit: number,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> => {
  const both = new AbortController()
  const abort = () => both.abort(signal.reason)
  if (signal.aborted) abort()
  signal.addEventListener('abort', abort, { once: true })
  const timer = setTimeout(() => both.abort(new DOMException('no answer in time', 'TimeoutError')), Math.max(1, limit))
  try {
    return await work(both.signal)
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', abort)
  }
}

/** Only our own waiting ends with the signal, not the work: others may wait for the same. */
export const unlessAborted = <T>(work: Promise<T>, signal: AbortSignal): Promise<T> =>
  new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })

export const interrupted = (): CertError =>
  new CertError('INTERRUPTED', 'interrupted', {
    passing: true,
    hint: 'run the same command again: it goes on where it stopped',
  })
