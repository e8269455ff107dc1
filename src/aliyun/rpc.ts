import { CertError } from '../errors.js'
import type { HttpConnections, HttpResponse } from '../http-connections.js'
import { patiently } from '../patience.js'
import { retryAfter } from '../retry-after.js'
import { Secret } from '../secret.js'
import { version as ownVersion } from '../version.js'
import { signRpc } from './acs3.js'
import type { CredentialSource, Credentials } from './credentials.js'
import type { Pace } from './pace.js'
import { type Attempted, explainRefusal, explainSilence, explainStranger, type Refusal } from './refusal.js'

export interface RpcOptions {
  readonly endpoint: URL
  /** The API's version, such as `2018-05-10`. */
  readonly version: string
  readonly credentials: CredentialSource
  readonly connections: HttpConnections
  /** Deadline of one call with its retries, in ms. */
  readonly timeout: number
  readonly now: () => Date
  /** Shared by all that use the product's quota. */
  readonly pace: Pace
  /** Told of every call that was answered and of every pause before another try; no secret is ever in it. */
  readonly trace?: ((line: string) => void) | undefined
}

export type RpcParameters = Readonly<Record<string, string | number | boolean | Secret | undefined>>

/** A field of an answer is what it is: nothing is taken for granted. */
export type Json = { readonly [name: string]: unknown }

interface Call {
  readonly action: string
  readonly body: Buffer
  readonly attempted: Attempted
  readonly found: Credentials
}

/**
 * One product's RPC API. Everything goes into the form body, for private keys are among the parameters; the product SDKs
 * of the vendor put them into the URL.
 */
export class RpcClient {
  readonly #options: RpcOptions

  constructor(options: RpcOptions) {
    this.#options = options
  }

  get endpoint(): URL {
    return this.#options.endpoint
  }

  /** Opens `count` connections, while there is still other work to do. */
  warmUp(count: number): void {
    const { connections, endpoint } = this.#options
    connections.open(endpoint, endpoint.hostname, count)
  }

  /** @throws CertError CLOUD_REFUSED, CLOUD_UNAVAILABLE, CREDENTIALS_MISSING, INTERRUPTED */
  async call(action: string, parameters: RpcParameters, attempted: Attempted, signal: AbortSignal): Promise<Json> {
    const { credentials, pace, timeout, trace } = this.#options
    const body = Buffer.from(form(parameters))
    // Asked outside of the retries: nothing is to be waited for where there are none.
    const found = await credentials()
    return await patiently((attemptSignal) => this.#callOnce({ action, body, attempted, found }, attemptSignal), {
      timeout,
      signal,
      turn: (stop) => pace.turn(stop),
      onRetry: (error, pause) => trace?.(`${error.message}; trying again in ${Math.round(pause)} ms`),
    })
  }

  async #callOnce({ action, body, attempted, found }: Call, signal: AbortSignal): Promise<Json> {
    const { endpoint, version, connections, now, trace } = this.#options
    const headers = signRpc({ endpoint, action, version, body }, found, now())
    const start = performance.now()
    const answer = await connections
      .request({
        method: 'POST',
        url: `${endpoint.origin}/`,
        headers: { 'user-agent': `acme-oss/${ownVersion}`, ...headers, 'content-length': body.length },
        body,
        signal,
      })
      .catch((error: unknown) => {
        throw explainSilence(error, attempted, endpoint.host)
      })
    const json = parse(answer.body)
    const requestId = textOf(json?.['RequestId']) ?? answer.headers['x-acs-request-id']?.toString()
    const took = Math.round(performance.now() - start)
    trace?.(`${action} at ${endpoint.origin} ${answer.status} in ${took} ms (${requestId ?? 'no request id'})`)
    const isFailure = answer.status < 200 || answer.status > 299
    if (isFailure) throw explainRefusal(readRefusal(answer, json, requestId), attempted)
    if (json === undefined || requestId === undefined) throw explainStranger(attempted, endpoint.host)
    return json
  }
}

const form = (parameters: RpcParameters): string =>
  Object.entries(parameters)
    .filter((entry): entry is [string, string | number | boolean | Secret] => entry[1] !== undefined)
    .map(([name, value]) => `${encode(name)}=${encode(value instanceof Secret ? value.reveal() : String(value))}`)
    .join('&')

const encode = (text: string): string => encodeURIComponent(text).replace(/%20/g, '+')

const parse = (body: Buffer): Json | undefined => {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'))
    return isJson(value) ? value : undefined
  } catch {
    return undefined
  }
}

const readRefusal = ({ status, headers }: HttpResponse, json: Json | undefined, requestId?: string): Refusal => ({
  status,
  code: textOf(json?.['Code']) ?? '',
  message: textOf(json?.['Message']) ?? '',
  requestId,
  retryAfter: milliseconds(headers['x-acs-retry-after']) ?? retryAfter(headers),
})

const milliseconds = (value: string | readonly string[] | undefined): number | undefined =>
  typeof value === 'string' && /^\d{1,9}$/.test(value) ? Number(value) : undefined

export const isJson = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The text of a field, which some products pad; numbers are taken as well, since some ids are both. */
export const textOf = (value: unknown): string | undefined => {
  const text = typeof value === 'number' ? String(value) : typeof value === 'string' ? value.trim() : ''
  return text === '' ? undefined : text
}

/** The objects in a list that lies below the names, such as `CertInfos`, `CertInfo`. */
export const listOf = (json: Json, ...names: readonly string[]): Json[] => {
  let value: unknown = json
  for (const name of names) value = isJson(value) ? value[name] : undefined
  return Array.isArray(value) ? value.filter(isJson) : []
}

interface Page {
  readonly answer: Json
  readonly found: readonly Json[]
}

/**
 * What stands in a list, page after page: to the one that `TotalCount` says is the last, or, where there is no such
 * field, to the first that is not full. A service that gives the same page again is not asked for ever.
 */
export async function* listed(pageSize: number, ask: (page: number) => Promise<Page>): AsyncGenerator<Json> {
  let before = ''
  for (let page = 1; ; page++) {
    const { answer, found } = await ask(page)
    const content = JSON.stringify(found)
    if (found.length === 0 || content === before) return
    before = content
    yield* found
    const total = textOf(answer['TotalCount'])
    if (total === undefined ? found.length < pageSize : page * pageSize >= Number(total)) return
  }
}

export const vendorCode = (error: unknown): string =>
  error instanceof CertError ? (error.vendor?.code ?? '').toLowerCase() : ''

/** Was the right to make this call missing? */
export const isForbidden = (error: unknown): boolean => /^(forbidden|nopermission|accessdenied)/.test(vendorCode(error))
