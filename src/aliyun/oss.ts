import { CertError } from '../errors.js'
import type { Look, ObjectHead, ObjectStore, PutOptions, StoredObject } from '../object-store.js'
import { element, OssClient, type OssClientOptions, vendorCode } from './oss-client.js'

export interface OssBucketOptions extends OssClientOptions {
  /** `x-oss-server-side-encryption` of everything that is put: `AES256`, `KMS` or `SM4`. */
  readonly encryption?: string | undefined
}

/** A bucket as a place that keeps objects. */
export class OssBucket implements ObjectStore {
  readonly name: string
  readonly #options: OssBucketOptions
  readonly #client: OssClient
  #exposure: Promise<'public' | 'private' | 'unknown'> | undefined

  constructor(options: OssBucketOptions) {
    this.#client = new OssClient(options)
    this.name = this.#client.name
    this.#options = options
  }

  /** Opens `count` connections, while there is still other work to do. */
  warmUp(count: number): void {
    this.#client.warmUp(count)
  }

  /** The endpoint was bound a moment ago: what its certificate lacks is waited for, so many ms at most. */
  settle(limit: number): void {
    this.#client.settle(limit)
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
    const attempted = this.#client.attempt(
      'putting',
      ownerOnly ? 'oss:PutObject and oss:PutObjectAcl' : 'oss:PutObject',
      object.key,
    )
    try {
      await this.#client.call({ method: 'PUT', key: object.key, headers, body, attempted }, signal)
      return 'written'
    } catch (error) {
      if (object.write === 'create' && vendorCode(error) === 'FileAlreadyExists') return 'exists'
      throw error
    }
  }

  async read(key: string, signal: AbortSignal): Promise<Look<string>> {
    const attempted = this.#client.attempt('reading', 'oss:GetObject', key)
    return await look(async () =>
      (await this.#client.call({ method: 'GET', key, attempted }, signal)).body.toString('utf8'),
    )
  }

  async head(key: string, signal: AbortSignal): Promise<Look<ObjectHead>> {
    const attempted = this.#client.attempt('looking at', 'oss:GetObject', key)
    return await look(async () => {
      const { headers } = await this.#client.call({ method: 'HEAD', key, attempted }, signal)
      const metadata = Object.entries(headers)
        .filter(([name]) => name.startsWith('x-oss-meta-'))
        .map(([name, value]) => [name.slice('x-oss-meta-'.length), String(value)])
      return { metadata: Object.fromEntries(metadata), md5: readEtag(headers.etag) }
    })
  }

  async folders(prefix: string, signal: AbortSignal): Promise<Look<readonly string[]>> {
    const attempted = this.#client.attempt('listing what lies in', 'oss:ListObjects')
    return await look(async () => {
      const found: string[] = []
      for (let token: string | undefined; ; ) {
        const page = await this.#client.call(
          { method: 'GET', query: listing(prefix, token), isAboutObjects: true, attempted },
          signal,
        )
        const xml = page.body.toString('utf8')
        for (const [, folder = ''] of xml.matchAll(/<CommonPrefixes>\s*<Prefix>([^<]*)<\/Prefix>/g)) {
          found.push(decoded(folder).slice(prefix.length, -1))
        }
        const next = decoded(element(xml, 'NextContinuationToken') ?? '')
        // One that is given again would be asked for for ever.
        if (element(xml, 'IsTruncated') !== 'true' || next === '' || next === token) return found
        token = next
      }
    })
  }

  exposure(signal: AbortSignal): Promise<'public' | 'private' | 'unknown'> {
    this.#exposure ??= this.#lookExposed(signal)
    return this.#exposure
  }

  async #lookExposed(signal: AbortSignal): Promise<'public' | 'private' | 'unknown'> {
    const ask = (subresource: string, action: string) => {
      const attempted = this.#client.attempt('reading the configuration of', action)
      return look(async () =>
        (await this.#client.call({ method: 'GET', query: { [subresource]: null }, attempted }, signal)).body.toString(
          'utf8',
        ),
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
    // A private ACL says nothing about a policy that could not be read.
    return grant === 'private' && policy.status !== 'refused' ? 'private' : 'unknown'
  }
}

/** Folders, with a slash as what parts them; encoded, since a key may hold what XML cannot. */
const listing = (prefix: string, token: string | undefined): Record<string, string> => ({
  'list-type': '2',
  delimiter: '/',
  'encoding-type': 'url',
  'max-keys': '1000',
  ...(prefix !== '' && { prefix }),
  ...(token !== undefined && { 'continuation-token': token }),
})

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** Being refused to look is an answer; everything else that goes wrong is thrown on. */
const look = async <T>(read: () => Promise<T>): Promise<Look<T>> => {
  try {
    return { status: 'found', value: await read() }
  } catch (error) {
    if (vendorCode(error) === 'NoSuchKey') return { status: 'absent' }
    // Not only a missing right: an object in cold storage, a service that lacks the call.
    if (error instanceof CertError && error.code === 'CLOUD_REFUSED') return { status: 'refused', error }
    throw error
  }
}

/** The MD5 of what was put in one piece; other ETags are longer or have a hyphen. */
const readEtag = (etag: string | undefined): string | undefined =>
  /^"?([0-9a-f]{32})"?$/i.exec(etag ?? '')?.[1]?.toLowerCase()
