import { CertError } from '../errors.js'
import type { HttpConnections, HttpResponse } from '../http-connections.js'
import type { Look, ObjectHead, ObjectStore, PutOptions, StoredObject } from '../object-store.js'
import { patiently } from '../patience.js'
import { retryAfter } from '../retry-after.js'
import { version } from '../version.js'
import type { CredentialSource, Credentials } from './credentials.js'
import type { OssEndpoint } from './endpoint.js'
import { hostOf, type OssRequest, originOf, signRequest } from './oss-request.js'
import { type Attempted, explainRefusal, explainSilence, explainStranger, type Refusal } from './refusal.js'

export interface OssBucketOptions {
  readonly bucket: string
  readonly endpoint: OssEndpoint
  /** Where calls about the bucket itself go: a bound domain takes only those about objects. */
  readonly bucketEndpoint: OssEndpoint
  readonly credentials: CredentialSource
  readonly connections: HttpConnections
  /** Deadline of one request with its retries, in ms. */
  readonly timeout: number
  readonly now: () => Date
  /** `x-oss-server-side-encryption` of everything that is put: `AES256`, `KMS` or `SM4`. */
  readonly encryption?: string | undefined
  /** Told of every request that was answered and of every pause before another try; no secret is ever in it. */
  readonly trace?: ((line: string) => void) | undefined
}

interface Call extends OssRequest {
  readonly attempted: Attempted
}

/** One bucket, reached over connections that stay open. */
export class OssBucket implements ObjectStore {
  readonly name: string
  readonly #options: OssBucketOptions
  #exposure: Promise<'public' | 'private' | 'unknown'> | undefined

  constructor(options: OssBucketOptions) {
    this.name = `oss://${options.bucket}`
    this.#options = options
  }

  /** Opens `count` connections, while there is still other work to do. */
  warmUp(count: number): void {
    const { bucket, connections, endpoint } = this.#options
    connections.open(originOf(bucket, endpoint), hostOf(bucket, endpoint).replace(/:\d+$/, ''), count)
  }

  async put(object: StoredObject, { ownerOnly }: PutOptions, signal: AbortSignal): Promise<'written' | 'exists'> {
    const metadata = Object.entries(object.metadata).map(([name, value]) => [`x-oss-meta-${name}`, value])
    const headers = {
      'Content-Type': object.contentType,
      ...(object.cacheControl && { 'Cache-Control': object.cacheControl }),
      ...(object.write === 'create' && { 'x-oss-forbid-overwrite': 'true' }),
      ...(ownerOnly && { 'x-oss-object-acl': 'private' }),
      ...(this.#options.encryption && { 'x-oss-server-side-encryption': this.#options.encryption }),
      ...Object.fromEntries(metadata),
    }
    const body = Buffer.from(typeof object.body === 'string' ? object.body : object.body.reveal())
    const attempted = this.#attempt(
      'putting',
      ownerOnly ? 'oss:PutObject and oss:PutObjectAcl' : 'oss:PutObject',
      object.key,
    )
    try {
      await this.#call({ method: 'PUT', key: object.key, headers, body, attempted }, signal)
      return 'written'
    } catch (error) {
      if (object.write === 'create' && vendorCode(error) === 'FileAlreadyExists') return 'exists'
      throw error
    }
  }

  async read(key: string, signal: AbortSignal): Promise<Look<string>> {
    const attempted = this.#attempt('reading', 'oss:GetObject', key)
    return await look(async () => (await this.#call({ method: 'GET', key, attempted }, signal)).body.toString('utf8'))
  }

  async head(key: string, signal: AbortSignal): Promise<Look<ObjectHead>> {
    const attempted = this.#attempt('looking at', 'oss:GetObject', key)
    return await look(async () => {
      const { headers } = await this.#call({ method: 'HEAD', key, attempted }, signal)
      const metadata = Object.entries(headers)
        .filter(([name]) => name.startsWith('x-oss-meta-'))
        .map(([name, value]) => [name.slice('x-oss-meta-'.length), String(value)])
      return { metadata: Object.fromEntries(metadata), md5: readEtag(headers.etag) }
    })
  }

  exposure(signal: AbortSignal): Promise<'public' | 'private' | 'unknown'> {
    this.#exposure ??= this.#lookExposed(signal)
    return this.#exposure
  }

  async #lookExposed(signal: AbortSignal): Promise<'public' | 'private' | 'unknown'> {
    const ask = (subresource: string, action: string) => {
      const attempted = this.#attempt('reading the configuration of', action)
      return look(async () =>
        (await this.#call({ method: 'GET', subresource, attempted }, signal)).body.toString('utf8'),
      ).catch((error: unknown) => {
        // The bucket's own endpoint may be out of reach where the bound domain is not. Where the two are one, what is
        // down now is asked again rather than taken for an answer.
        const isElsewhere = this.#options.bucketEndpoint.url.origin !== this.#options.endpoint.url.origin
        if (isElsewhere && error instanceof CertError && error.code === 'CLOUD_UNAVAILABLE') {
          return { status: 'refused' } as const
        }
        throw error
      })
    }
    const [acl, policy] = await Promise.all([
      ask('acl', 'oss:GetBucketAcl'),
      ask('policyStatus', 'oss:GetBucketPolicyStatus'),
    ])
    const grant = acl.status === 'found' ? element(acl.value, 'Grant') : undefined
    const byPolicy = policy.status === 'found' ? element(policy.value, 'IsPublic') : undefined
    if (grant?.startsWith('public') || byPolicy === 'true') return 'public'
    // A private ACL says nothing about a policy that could not be read, but nobody has a policy by accident.
    return grant === 'private' ? 'private' : 'unknown'
  }

  #attempt(verb: string, action: string, key?: string): Attempted {
    const place = key === undefined ? this.name : `${this.name}/${key}`
    return { doing: `${verb} ${place}`, action, resource: `acs:oss:*:*:${place.slice('oss://'.length)}` }
  }

  async #call(call: Call, signal: AbortSignal): Promise<HttpResponse> {
    const { credentials, timeout, trace } = this.#options
    // Asked outside of the retries: nothing is to be waited for where there are none.
    const found = await credentials()
    return await patiently((attemptSignal) => this.#callOnce(call, found, attemptSignal), {
      timeout,
      signal,
      onRetry: (error, pause) => trace?.(`${error.message}; trying again in ${Math.round(pause)} ms`),
    })
  }

  async #callOnce(call: Call, credentials: Credentials, signal: AbortSignal): Promise<HttpResponse> {
    const { bucket, bucketEndpoint, connections, now, trace } = this.#options
    const endpoint = call.key === undefined ? bucketEndpoint : this.#options.endpoint
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

/** A portal that shows its own page instead of an answer has stored nothing. */
const isStranger = (method: string, { headers, body }: HttpResponse): boolean =>
  !Object.keys(headers).some((name) => name.startsWith('x-oss-')) &&
  (method === 'PUT' ? body.length > 0 : /html/i.test(headers['content-type'] ?? ''))

const vendorCode = (error: unknown): string | undefined => (error instanceof CertError ? error.vendor?.code : undefined)

/** Being refused to look is an answer; everything else that goes wrong is thrown on. */
const look = async <T>(read: () => Promise<T>): Promise<Look<T>> => {
  try {
    return { status: 'found', value: await read() }
  } catch (error) {
    if (vendorCode(error) === 'NoSuchKey') return { status: 'absent' }
    // Not only a missing right: an object in cold storage, a service that lacks the call.
    if (error instanceof CertError && error.code === 'CLOUD_REFUSED') return { status: 'refused' }
    throw error
  }
}

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
const element = (xml: string, name: string): string | undefined =>
  new RegExp(`<${name}>([^<]{0,2000})</${name}>`).exec(xml)?.[1]?.trim()

/** The MD5 of what was put in one piece; other ETags are longer or have a hyphen. */
const readEtag = (etag: string | undefined): string | undefined =>
  /^"?([0-9a-f]{32})"?$/i.exec(etag ?? '')?.[1]?.toLowerCase()
