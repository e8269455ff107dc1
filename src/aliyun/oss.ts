import type OSS from 'ali-oss'
import { CertError } from '../errors.js'
import type { HttpConnections, HttpResponse } from '../http-connections.js'
import type { Look, ObjectHead, ObjectStore, PutOptions, StoredObject } from '../object-store.js'
import { patiently } from '../patience.js'
import { retryAfter } from '../retry-after.js'
import type { CredentialSource, Credentials } from './credentials.js'
import type { OssEndpoint } from './endpoint.js'
import { type Attempted, explainRefusal, explainSilence, type Refusal } from './refusal.js'

export interface OssBucketOptions {
  readonly bucket: string
  readonly endpoint: OssEndpoint
  /** Where calls about the bucket itself go: a bound domain takes only those about objects. */
  readonly bucketEndpoint: OssEndpoint
  readonly credentials: CredentialSource
  readonly connections: HttpConnections
  /** Deadline of one request with its retries, in ms. */
  readonly timeout: number
  /** `x-oss-server-side-encryption` of everything that is put: `AES256`, `KMS` or `SM4`. */
  readonly encryption?: string | undefined
  /** Told of every request that was answered and of every pause before another try; no secret is ever in it. */
  readonly trace?: ((line: string) => void) | undefined
}

type Client = InstanceType<typeof OSS>

interface Call {
  readonly method: 'GET' | 'HEAD' | 'PUT'
  readonly key?: string
  /** A sub-resource of the bucket: `acl`, `policyStatus`. */
  readonly subresource?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Buffer
  readonly attempted: Attempted
}

/**
 * The one door to ali-oss. The SDK builds and signs the requests (V4) and no more: sending is ours, since the SDK's
 * own way knows no cancelling, retries nothing, and hides what was answered; its errors, which carry the request with
 * the private key in it, are never looked at.
 */
export class OssBucket implements ObjectStore {
  readonly name: string
  readonly #options: OssBucketOptions
  readonly #clients = new Map<OssEndpoint, { readonly credentials: Credentials; readonly client: Promise<Client> }>()
  #exposure: Promise<'public' | 'private' | 'unknown'> | undefined

  constructor(options: OssBucketOptions) {
    this.name = `oss://${options.bucket}`
    this.#options = options
  }

  /** Opens `count` connections and loads what the first request needs, while there is still other work to do. */
  warmUp(count: number): void {
    const { bucket, connections, credentials, endpoint } = this.#options
    connections.open(originOf(bucket, endpoint), serverNameOf(bucket, endpoint), count)
    // What goes wrong here goes wrong again, and is reported, when it is needed.
    credentials()
      .then((found) => this.#clientFor(found, endpoint))
      .catch(() => undefined)
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
      )
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
    const { bucket, bucketEndpoint } = this.#options
    const endpoint = call.subresource === undefined ? this.#options.endpoint : bucketEndpoint
    const client = await this.#clientFor(credentials, endpoint)
    const exchange: Exchange = { signal, answer: undefined, failure: undefined }
    await (client as unknown as RawClient)
      .request({
        method: call.method,
        bucket,
        ...(call.key !== undefined && { object: call.key }),
        ...(call.subresource !== undefined && { subres: call.subresource }),
        ...(call.headers && { headers: call.headers }),
        ...(call.body && { content: call.body }),
        ctx: exchange,
      })
      // What the SDK throws can carry the request; `exchange` holds what really happened, unless nothing did.
      .catch((error: unknown) => {
        exchange.failure ??= new Error(error instanceof Error ? error.message : 'the request could not be made')
      })
    if (exchange.answer === undefined) {
      throw explainSilence(exchange.failure, call.attempted, originOf(bucket, endpoint).host)
    }
    if (exchange.answer.status < 200 || exchange.answer.status > 299) {
      throw explainRefusal(readRefusal(exchange.answer), call.attempted)
    }
    return exchange.answer
  }

  /** A client of the SDK has its credentials for good, so renewed ones get a new client over the same connections. */
  #clientFor(credentials: Credentials, endpoint: OssEndpoint): Promise<Client> {
    const known = this.#clients.get(endpoint)
    if (known?.credentials === credentials) return known.client
    const client = this.#newClient(credentials, endpoint)
    this.#clients.set(endpoint, { credentials, client })
    return client
  }

  async #newClient(
    { accessKeyId, accessKeySecret, securityToken }: Credentials,
    endpoint: OssEndpoint,
  ): Promise<Client> {
    const { default: AliOss } = await import('ali-oss')
    const { bucket } = this.#options
    const options = {
      accessKeyId: accessKeyId.reveal(),
      accessKeySecret: accessKeySecret.reveal(),
      ...(securityToken && {
        stsToken: securityToken.reveal(),
        // Given only to keep the SDK from recommending it on standard error; the interval never passes.
        refreshSTSTokenInterval: Number.MAX_SAFE_INTEGER,
      }),
      authorizationV4: true,
      bucket,
      cname: endpoint.cname,
      endpoint: endpoint.url.origin,
      region: `oss-${endpoint.region}`,
      secure: true,
      urllib: { request: (url: string, request: SignedRequest) => this.#send(url, request) },
    }
    return new AliOss(options)
  }

  async #send(url: string, { method, headers, content, ctx }: SignedRequest): Promise<never> {
    const { connections, trace } = this.#options
    const start = performance.now()
    const target = new URL(url)
    try {
      ctx.answer = await connections.request({ method, url, headers, body: content, signal: ctx.signal })
      const took = Math.round(performance.now() - start)
      const id = ctx.answer.headers['x-oss-request-id'] ?? 'no request id'
      trace?.(`${method} ${target.host}${target.pathname}${target.search} ${ctx.answer.status} in ${took} ms (${id})`)
    } catch (error) {
      ctx.failure = error
    }
    // Ends the SDK's part: it would only parse the answer once more.
    throw new Error('answered')
  }
}

const originOf = (bucket: string, { url, cname }: OssEndpoint): URL => {
  if (cname || isAddress(url.hostname)) return url
  const host = new URL(url)
  host.hostname = `${bucket}.${url.hostname}`
  return host
}

/** The name that the SDK asks for in the handshake; to an address it goes under the name that OSS would have. */
const serverNameOf = (bucket: string, endpoint: OssEndpoint): string =>
  isAddress(endpoint.url.hostname)
    ? `${bucket}.oss-${endpoint.region}.aliyuncs.com`
    : originOf(bucket, endpoint).hostname

/** What one request came to, handed through the SDK beside it. */
interface Exchange {
  readonly signal: AbortSignal
  answer: HttpResponse | undefined
  failure: unknown
}

interface SignedRequest {
  readonly method: string
  readonly headers: Readonly<Record<string, string | number>>
  readonly content?: Buffer
  readonly ctx: Exchange
}

/** The SDK's general call, which its types leave out. */
interface RawClient {
  request(params: Readonly<Record<string, unknown>>): Promise<unknown>
}

const isAddress = (hostname: string): boolean => /^(\d+\.\d+\.\d+\.\d+|\[.*\])$/.test(hostname)

const vendorCode = (error: unknown): string | undefined => (error instanceof CertError ? error.vendor?.code : undefined)

/** Being refused to look is an answer; everything else that goes wrong is thrown on. */
const look = async <T>(read: () => Promise<T>): Promise<Look<T>> => {
  try {
    return { status: 'found', value: await read() }
  } catch (error) {
    const code = vendorCode(error)
    if (code === 'NoSuchKey') return { status: 'absent' }
    if (code === 'AccessDenied') return { status: 'refused' }
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
