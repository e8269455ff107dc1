import { setTimeout as sleep } from 'node:timers/promises'
import { CertError, systemCode } from '../errors.js'
import type { HttpConnections, HttpResponse } from '../http-connections.js'
import { interrupted, patiently } from '../patience.js'
import { retryAfter } from '../retry-after.js'
import { version } from '../version.js'
import type { CredentialSource, Credentials } from './credentials.js'
import type { OssEndpoint } from './endpoint.js'
import { hostOf, type OssRequest, originOf, signRequest } from './oss-request.js'
import { type Attempted, explainRefusal, explainSilence, explainStranger, type Refusal } from './refusal.js'

export interface OssClientOptions {
  readonly bucket: string
  readonly endpoint: OssEndpoint
  /** Where calls about the bucket itself go: a bound domain takes only those about objects. */
  readonly bucketEndpoint: OssEndpoint
  readonly credentials: CredentialSource
  readonly connections: HttpConnections
  /** Deadline of one request with its retries, in ms. */
  readonly timeout: number
  readonly now: () => Date
  /** Told of every request that was answered and of every pause before another try; no secret is ever in it. */
  readonly trace?: ((line: string) => void) | undefined
}

interface Call extends OssRequest {
  readonly attempted: Attempted
  /** Asks the bucket for its objects: such a call goes where those about objects go, a bound domain too. */
  readonly isAboutObjects?: true
}

const isAboutObjects = ({ key, isAboutObjects: isAsked }: Call): boolean => key !== undefined || isAsked === true

/** Signed requests about one bucket and its objects, over connections that stay open. */
export class OssClient {
  readonly name: string
  readonly #options: OssClientOptions
  /** Until then the endpoint may not show its certificate everywhere yet, in ms of `performance.now()`. */
  #settledAt = 0

  constructor(options: OssClientOptions) {
    this.name = `oss://${options.bucket}`
    this.#options = options
  }

  /** Opens `count` connections, while there is still other work to do. */
  warmUp(count: number, to: 'objects' | 'bucket' = 'objects'): void {
    const { bucket, connections, endpoint, bucketEndpoint } = this.#options
    const place = to === 'objects' ? endpoint : bucketEndpoint
    connections.open(originOf(bucket, place), hostOf(bucket, place).replace(/:\d+$/, ''), count)
  }

  /** The endpoint was bound a moment ago: what its certificate lacks is waited for, so many ms at most. */
  settle(limit: number): void {
    this.#settledAt = performance.now() + limit
  }

  /** What is about to be done, for errors. */
  attempt(verb: string, action: string, key?: string): Attempted {
    const place = key === undefined ? this.name : `${this.name}/${key}`
    return { doing: `${verb} ${place}`, action, resource: `acs:oss:*:*:${place.slice('oss://'.length)}` }
  }

  /** @throws CertError CLOUD_REFUSED, CLOUD_UNAVAILABLE, CREDENTIALS_MISSING, INTERRUPTED */
  async call(call: Call, signal: AbortSignal): Promise<HttpResponse> {
    const { credentials, timeout, trace } = this.#options
    // Asked outside of the retries: nothing is to be waited for where there are none.
    const found = await credentials()
    const onRetry = (error: CertError, pause: number) =>
      trace?.(`${error.message}; trying again in ${Math.round(pause)} ms`)
    const attempt = (attemptSignal: AbortSignal) => this.#callOnce(call, found, attemptSignal)
    const options = { timeout, signal, onRetry }
    for (;;) {
      try {
        return await patiently(attempt, options)
      } catch (error) {
        if (!isAboutObjects(call) || !isUnsettled(error) || performance.now() + settlingPause > this.#settledAt)
          throw error
        onRetry(error, settlingPause)
        await sleep(settlingPause, undefined, { signal }).catch(() => {
          throw interrupted()
        })
      }
    }
  }

  async #callOnce(call: Call, credentials: Credentials, signal: AbortSignal): Promise<HttpResponse> {
    const { bucket, bucketEndpoint, connections, now, trace } = this.#options
    const endpoint = isAboutObjects(call) ? this.#options.endpoint : bucketEndpoint
    const { url, headers } = await signRequest(call, bucket, endpoint, credentials, now())
    const start = performance.now()
    const answer = await connections
      .request({
        method: call.method,
        url,
        headers: {
          'user-agent': `acme-oss/${version}`,
          ...headers,
          ...(call.body && { 'content-length': call.body.length }),
        },
        body: call.body,
        signal,
      })
      .catch((error: unknown) => {
        throw explainSilence(error, call.attempted, originOf(bucket, endpoint).host)
      })
    const took = Math.round(performance.now() - start)
    trace?.(
      `${call.method} ${url} ${answer.status} in ${took} ms (${answer.headers['x-oss-request-id'] ?? 'no request id'})`,
    )
    if (answer.status < 200 || answer.status > 299) throw explainRefusal(readRefusal(answer), call.attempted)
    if (isStranger(call.method, answer)) throw explainStranger(call.attempted, originOf(bucket, endpoint).host)
    return answer
  }
}

// In ms.
const settlingPause = 2000

/** Is it the certificate of the other side that is missing or wrong? */
const isUnsettled = (error: unknown): error is CertError =>
  error instanceof CertError && /CERT|SELF_SIGNED|UNABLE_TO_|EPROTO|ERR_SSL/.test(systemCode(error.cause) ?? '')

/** A portal that shows its own page instead of an answer has stored nothing. */
const isStranger = (method: string, { headers, body }: HttpResponse): boolean =>
  !Object.keys(headers).some((name) => name.startsWith('x-oss-')) &&
  (method === 'PUT' ? body.length > 0 : /html/i.test(headers['content-type'] ?? ''))

/** HEAD answers have no body; OSS puts the same XML into a header. */
const readRefusal = ({ status, headers, body }: HttpResponse): Refusal => {
  const inHeader = headers['x-oss-err']
  const xml = body.length > 0 ? body.toString('utf8') : Buffer.from(String(inHeader ?? ''), 'base64').toString('utf8')
  const code = /^\s*(<\?xml[^>]*>)?\s*<Error[\s>]/.test(xml) ? (element(xml, 'Code') ?? '') : ''
  const absent = code === '' && status === 404 && body.length === 0
  return {
    status,
    code: absent ? 'NoSuchKey' : code,
    message: element(xml, 'Message') ?? '',
    requestId: element(xml, 'RequestId') ?? headers['x-oss-request-id']?.toString(),
    endpoint: code === 'AccessDenied' ? element(xml, 'Endpoint') : undefined,
    retryAfter: retryAfter(headers),
  }
}

/** The text of an element without children. OSS answers with a handful of flat ones: no parser, so no entities. */
export const element = (xml: string, name: string): string | undefined =>
  new RegExp(`<${name}>([^<]{0,2000})</${name}>`).exec(xml)?.[1]?.trim()

export const vendorCode = (error: unknown): string | undefined =>
  error instanceof CertError ? error.vendor?.code : undefined
