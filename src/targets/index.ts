import { resolve } from 'node:path'
import type { CredentialSource } from '../aliyun/credentials.js'
import { ossEndpoint } from '../aliyun/endpoint.js'
import { OssBucket } from '../aliyun/oss.js'
import { CertError } from '../errors.js'
import type { HttpConnections } from '../http-connections.js'
import { directoryLayout } from './directory.js'
import { keyPrefix } from './layout.js'
import { ossLayout } from './oss.js'
import type { DeployTarget, TargetSettings } from './target.js'

/** What targets reach the world with; none of it is part of what they are. */
export interface TargetContext {
  readonly credentials: CredentialSource
  readonly connections: HttpConnections
  /** Deadline of one request with its retries, in ms. */
  readonly timeout: number
  readonly now: () => Date
  readonly trace?: ((line: string) => void) | undefined
}

// Connections for the five files of a layout, and one for looking at what is there.
const layoutConnections = 6

const oss = (settings: Settings, context: TargetContext): DeployTarget => {
  const bucket = settings.text('bucket')
  const endpoint = ossEndpoint({
    bucket,
    region: settings.optional('region'),
    endpoint: settings.optional('endpoint'),
    cnameEndpoint: settings.flag('cnameEndpoint'),
  })
  const given = settings.optional('bucketEndpoint')
  const bucketEndpoint =
    given === undefined && !endpoint.cname
      ? endpoint
      : ossEndpoint({ bucket, region: endpoint.region, endpoint: given, flag: '--bucket-endpoint' })
  const prefix = keyPrefix(settings.optional('prefix') ?? '')
  const encryption = settings.optional('sse')
  if (encryption !== undefined && !['AES256', 'KMS', 'SM4'].includes(encryption)) {
    throw new CertError('USAGE', `"${encryption}" is not a server-side encryption of OSS`, {
      hint: 'one of AES256, KMS and SM4',
    })
  }
  const store = new OssBucket({ ...context, bucket, endpoint, bucketEndpoint, encryption })
  return ossLayout({
    store,
    prefix,
    endpoint: endpoint.url.origin,
    settings: settings.values,
    allowOlder: settings.flag('allowOlder'),
    allowPublicBucket: settings.flag('allowPublicBucket'),
    warmUp: () => store.warmUp(layoutConnections),
  })
}

const directory = (settings: Settings): DeployTarget =>
  directoryLayout({ directory: resolve(settings.text('directory')), allowOlder: settings.flag('allowOlder') })

/** The targets by kind. A new one is a file, a line here, and a page in docs/. */
const kinds: Readonly<Record<string, (settings: Settings, context: TargetContext) => DeployTarget>> = { oss, directory }

/**
 * Makes a target out of what was given on the command line, in the configuration, or recorded in an earlier run.
 * @throws CertError USAGE
 */
export const createTarget = (kind: string, values: TargetSettings, context: TargetContext): DeployTarget => {
  const make = Object.hasOwn(kinds, kind) ? kinds[kind] : undefined
  if (make === undefined) {
    throw new CertError('USAGE', `there is no target "${kind}"`, {
      hint: `there are: ${Object.keys(kinds).join(', ')}`,
    })
  }
  return make(new Settings(kind, values), context)
}

/** Typed values out of a target's settings; what is missing is named. */
class Settings {
  readonly values: TargetSettings
  readonly #kind: string

  constructor(kind: string, values: TargetSettings) {
    this.#kind = kind
    this.values = values
  }

  optional(name: string): string | undefined {
    const value = this.values[name]
    return typeof value === 'string' && value !== '' ? value : undefined
  }

  text(name: string): string {
    const value = this.optional(name)
    if (value === undefined)
      throw new CertError('USAGE', `the target ${this.#kind} needs a ${name}`, { hint: `add --${name}` })
    return value
  }

  flag(name: string): boolean {
    return this.values[name] === true
  }
}
