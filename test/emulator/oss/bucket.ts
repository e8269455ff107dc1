import { createHash, randomBytes } from 'node:crypto'
import { crc64 } from '../crc64.js'

export type BucketAcl = 'private' | 'public-read' | 'public-read-write'
type ObjectAcl = 'default' | BucketAcl

export interface BucketOptions {
  /** `cn-hangzhou`; `oss-cn-hangzhou` is the same. */
  readonly region?: string | undefined
  readonly acl?: BucketAcl | undefined
  readonly versioning?: 'Enabled' | 'Suspended' | undefined
  /** A bucket policy lets everybody read. */
  readonly policyPublic?: boolean | undefined
  /** The account was opened after 2025-03-20: no data calls through the default public endpoint. */
  readonly publicEndpointForbidden?: boolean | undefined
  /** Transfer acceleration is on. */
  readonly accelerate?: boolean | undefined
  /** A bucket policy denies what does not come over TLS (`acs:SecureTransport`). Seen where `startPlainEdge` listens. */
  readonly denyPlainHttp?: boolean | undefined
  /** The text of its policy, as somebody has put it. */
  readonly policy?: string | undefined
  /** The text of its HTTPS configuration, as somebody has put it. */
  readonly httpsConfig?: string | undefined
  /** No ACL and no policy makes anything public. */
  readonly blockPublicAccess?: boolean | undefined
}

export interface StoredObject {
  readonly body: Buffer
  /** `content-type` and what else is stored and given back; lower-case names. */
  readonly headers: Readonly<Record<string, string>>
  /** `x-oss-meta-*` without that prefix. */
  readonly meta: Readonly<Record<string, string>>
  readonly acl: ObjectAcl
  /** MD5 in upper-case hex, without quotes. */
  readonly etag: string
  readonly md5: string
  readonly crc64: string
  readonly lastModified: Date
  readonly sse: string | undefined
  /** How many versions of the key the bucket holds. */
  readonly versions: number
  readonly versionId: string | undefined
}

const kept = ['content-type', 'cache-control', 'content-disposition', 'content-encoding', 'content-language', 'expires']

const metaPrefix = 'x-oss-meta-'

/** The settings may be changed at any time, as an operator would. */
export class Bucket {
  readonly name: string
  readonly region: string
  readonly created: Date
  acl: BucketAcl
  versioning: 'Enabled' | 'Suspended' | undefined
  policyPublic: boolean
  publicEndpointForbidden: boolean
  accelerate: boolean
  denyPlainHttp: boolean
  policy: string | undefined
  httpsConfig: string | undefined
  blockPublicAccess: boolean
  readonly objects = new Map<string, StoredObject>()

  constructor(name: string, options: BucketOptions, created: Date) {
    this.name = name
    this.region = (options.region ?? 'cn-hangzhou').replace(/^oss-/, '')
    this.created = created
    this.acl = options.acl ?? 'private'
    this.versioning = options.versioning
    this.policyPublic = options.policyPublic ?? false
    this.publicEndpointForbidden = options.publicEndpointForbidden ?? false
    this.accelerate = options.accelerate ?? false
    this.denyPlainHttp = options.denyPlainHttp ?? false
    this.policy = options.policy
    this.httpsConfig = options.httpsConfig
    this.blockPublicAccess = options.blockPublicAccess ?? false
  }

  get location(): string {
    return `oss-${this.region}`
  }

  /** Stores what a PutObject with these headers (lower-case names) would store, without any of its checks. */
  store(key: string, body: Buffer, headers: Readonly<Record<string, string>>, now: Date): StoredObject {
    const before = this.objects.get(key)
    const md5 = createHash('md5').update(body).digest()
    const entries = Object.entries(headers)
    const object: StoredObject = {
      body,
      headers: {
        'content-type': 'application/octet-stream',
        ...Object.fromEntries(entries.filter(([name]) => kept.includes(name))),
      },
      meta: Object.fromEntries(
        entries.filter(([name]) => name.startsWith(metaPrefix)).map(([name, v]) => [name.slice(metaPrefix.length), v]),
      ),
      acl: (headers['x-oss-object-acl'] as ObjectAcl | undefined) ?? 'default',
      etag: md5.toString('hex').toUpperCase(),
      md5: md5.toString('base64'),
      crc64: crc64(body),
      lastModified: now,
      sse: headers['x-oss-server-side-encryption'],
      ...this.#nextVersion(before),
    }
    this.objects.set(key, object)
    return object
  }

  /** Suspended versioning writes the version called `null`, which replaces only its like. */
  #nextVersion(before: StoredObject | undefined): Pick<StoredObject, 'versions' | 'versionId'> {
    if (this.versioning === undefined) return { versions: 1, versionId: undefined }
    const count = before?.versions ?? 0
    if (this.versioning === 'Enabled') return { versions: count + 1, versionId: randomBytes(32).toString('base64url') }
    const replaces = before !== undefined && (before.versionId === undefined || before.versionId === 'null')
    return { versions: replaces ? count : count + 1, versionId: 'null' }
  }
}
