import { CertError, systemCode, toCertError } from '../errors.js'
import type { HttpConnections, HttpResponse } from '../http-connections.js'
import { interrupted, withDeadline } from '../patience.js'
import { version } from '../version.js'
import type { Message } from './alert-message.js'
import type { Address, Outgoing, Receiver, Refusal } from './receivers/receiver.js'

export interface SendOptions {
  readonly connections: HttpConnections
  readonly now: () => Date
  readonly signal: AbortSignal
}

// Of one try, in ms.
const longest = 10_000
const tries = 2

/**
 * Tells one receiver.
 * @param called how errors name it: by kind and host, since its URL holds a token
 * @throws CertError ALERT_FAILED, INTERRUPTED
 */
export const sendAlert = async (
  receiver: Receiver,
  message: Message,
  address: Address,
  called: string,
  options: SendOptions,
): Promise<void> =>
  await twice(called, options, async (signal) => {
    const outgoing = receiver.request(message, address, options.now())
    const { status, body } = await send('POST', outgoing, options, signal)
    const refusal = receiver.refusal({ status, body: body.subarray(0, 100_000).toString('utf8') })
    if (refusal !== undefined) throw refused(called, refusal)
  })

/** Says that all is well, to somebody who wonders when they do not hear from us. @throws CertError as `sendAlert` */
export const ping = async (url: string, called: string, options: SendOptions): Promise<void> =>
  await twice(called, options, async (signal) => {
    const { status } = await send('GET', { url, headers: {}, body: '' }, options, signal)
    if (status >= 200 && status < 300) return
    const passing = status === 429 || status >= 500
    throw refused(called, { code: `${status}`, message: `it answered with status ${status}`, hint: undefined, passing })
  })

const send = (
  method: 'GET' | 'POST',
  { url, headers, body }: Outgoing,
  { connections }: SendOptions,
  signal: AbortSignal,
): Promise<HttpResponse> => {
  const bytes = Buffer.from(body)
  return connections.request({
    method,
    url,
    headers: {
      'user-agent': `acme-oss/${version}`,
      ...headers,
      ...(method === 'POST' && { 'content-length': bytes.length }),
    },
    body: method === 'POST' ? bytes : undefined,
    signal,
  })
}

const twice = async (
  called: string,
  { signal }: SendOptions,
  attempt: (signal: AbortSignal) => Promise<void>,
): Promise<void> => {
  for (let left = tries - 1; ; left--) {
    try {
      return await withDeadline(longest, signal, attempt)
    } catch (thrown) {
      if (signal.aborted) throw interrupted()
      const error = explained(called, thrown)
      if (!error.passing || left === 0) throw error
    }
  }
}

const refused = (called: string, { code, message, hint, passing }: Refusal): CertError =>
  new CertError('ALERT_FAILED', `${called} was not told: ${message}`, { hint, passing, vendor: { code } })

/** Of what the system says only the code is passed on: its words may hold the URL. */
const explained = (called: string, thrown: unknown): CertError => {
  if (thrown instanceof CertError) return thrown
  const code = thrown instanceof DOMException && thrown.name === 'TimeoutError' ? 'TimeoutError' : systemCode(thrown)
  if (code === undefined) return toCertError(thrown)
  const why = explanations[code] ?? `the connection failed: ${code}`
  return new CertError('ALERT_FAILED', `${called} was not told: ${why}`, {
    passing: true,
    hint: 'acme-oss notify test tries it again, once that is mended',
  })
}

const explanations: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ECONNRESET: 'the connection was cut',
  ENOTFOUND: 'its name does not resolve',
  EAI_AGAIN: 'its name does not resolve for now',
  TimeoutError: `there was no answer within ${longest / 1000} seconds`,
}
