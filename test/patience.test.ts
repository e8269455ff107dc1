import t from 'tap'
import { CertError, type CertErrorOptions } from '../src/errors.js'
import { patiently } from '../src/patience.js'

const busy = (options: CertErrorOptions = {}): CertError =>
  new CertError('CLOUD_UNAVAILABLE', 'busy', { passing: true, ...options })
const refused = new CertError('CLOUD_REFUSED', 'refused')
const never = (): AbortSignal => new AbortController().signal

/** An attempt that throws these one after the other, and then succeeds. */
const failing = (...errors: readonly unknown[]) => {
  let tries = 0
  return {
    get tries() {
      return tries
    },
    attempt: async (): Promise<string> => {
      const error = errors[tries++]
      if (error !== undefined) throw error
      return `done in ${tries}`
    },
  }
}

/** Hangs until it is told to stop. */
const hanging = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    // What keeps a real attempt alive is its socket.
    const alive = setInterval(() => undefined, 1000)
    const stop = (): void => {
      clearInterval(alive)
      reject(busy({ cause: signal.reason }))
    }
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop)
  })

t.test('the first success counts', async (t) => {
  t.equal(await patiently(failing().attempt, { timeout: 1000, signal: never() }), 'done in 1')
})

t.test('what may pass is tried again, with pauses that may grow', async (t) => {
  const pauses: number[] = []
  const { attempt } = failing(busy(), busy(), busy())
  const onRetry = (error: CertError, pause: number): void => {
    t.equal(error.message, 'busy')
    pauses.push(pause)
  }
  t.equal(await patiently(attempt, { timeout: 60_000, signal: never(), onRetry }), 'done in 4')
  t.equal(pauses.length, 3)
  for (const [i, pause] of pauses.entries()) t.ok(pause >= 0 && pause <= 200 * 2 ** i, `pause ${i}: ${pause} ms`)
})

t.test('what cannot pass is thrown on at once', async (t) => {
  for (const error of [refused, new Error('a fault of ours'), 'odd']) {
    const { attempt } = failing(error)
    const thrown = await patiently(attempt, { timeout: 60_000, signal: never() }).catch((one: unknown) => one)
    t.equal(thrown, error)
  }
  const { attempt } = failing(busy(), refused)
  await t.rejects(patiently(attempt, { timeout: 60_000, signal: never() }), { code: 'CLOUD_REFUSED' })
})

t.test('the deadline', async (t) => {
  // Not a whole number of milliseconds: what is left of a deadline never is one.
  for (const timeout of [400, 1234.567]) {
    let tries = 0
    const always = (): Promise<never> => {
      tries++
      return Promise.reject(busy({ hint: String(tries) }))
    }
    const thrown = await patiently(always, { timeout, signal: never() }).catch((one: unknown) => one)
    t.match(thrown, { code: 'CLOUD_UNAVAILABLE', hint: String(tries) }, 'what was thrown last')
    t.ok(tries > 1, `${tries} tries`)
  }
})

t.test('an attempt that goes silent leaves time for another', async (t) => {
  let tries = 0
  const reasons: unknown[] = []
  const attempt = (signal: AbortSignal): Promise<string> => {
    signal.addEventListener('abort', () => reasons.push(signal.reason))
    return tries++ === 0 ? hanging(signal) : Promise.resolve('answered')
  }
  t.equal(await patiently(attempt, { timeout: 6000, signal: never() }), 'answered')
  t.equal(tries, 2)
  t.match(reasons[0], { name: 'TimeoutError' })
})

t.test('a place that stays silent', async (t) => {
  await t.rejects(patiently(hanging, { timeout: 300, signal: never() }), {
    code: 'CLOUD_UNAVAILABLE',
    cause: { name: 'TimeoutError' },
  })
})

t.test('what the other side asks for', async (t) => {
  const pauses: number[] = []
  const options = { timeout: 60_000, signal: never(), onRetry: (_: CertError, pause: number) => pauses.push(pause) }
  const { attempt } = failing(busy({ retryAfter: 250 }), busy({ retryAfter: 0 }))
  await patiently(attempt, options)
  t.ok((pauses[0] ?? 0) >= 250)

  let tries = 0
  const hurried = (): Promise<never> => {
    tries++
    return Promise.reject(busy({ retryAfter: 0 }))
  }
  await t.rejects(patiently(hurried, { timeout: 1000, signal: never() }), { code: 'CLOUD_UNAVAILABLE' })
  t.ok(tries < 100, `${tries} tries in a second: "at once" does not mean again and again`)

  const long = failing(busy({ retryAfter: 3_600_000 }))
  await t.rejects(patiently(long.attempt, options), { code: 'CLOUD_UNAVAILABLE' })
  t.equal(long.tries, 1, 'more than there is time for is not waited for')
})

t.test('a name that does not resolve is looked up three times', async (t) => {
  const unknown = busy({ cause: Object.assign(new Error('x'), { code: 'ENOTFOUND' }) })
  const lookup = failing(unknown, unknown, unknown, unknown)
  await t.rejects(patiently(lookup.attempt, { timeout: 60_000, signal: never() }), unknown)
  t.equal(lookup.tries, 3)
})

t.test('interrupted', async (t) => {
  const interrupted = { code: 'INTERRUPTED', passing: true, hint: /run the same command again/ }
  await t.rejects(patiently(hanging, { timeout: 60_000, signal: AbortSignal.abort() }), interrupted)

  const during = new AbortController()
  setTimeout(() => during.abort(), 50)
  await t.rejects(patiently(hanging, { timeout: 60_000, signal: during.signal }), interrupted)

  const between = new AbortController()
  const onRetry = () => setTimeout(() => between.abort(), 20)
  const waiting = failing(busy({ retryAfter: 50_000 }))
  await t.rejects(patiently(waiting.attempt, { timeout: 60_000, signal: between.signal, onRetry }), interrupted)
  t.equal(waiting.tries, 1)
})
