import { resolve } from 'node:path'
import type { CredentialSource } from '../aliyun/credentials.js'
import { ossEndpoint } from '../aliyun/endpoint.js'
import { OssBucket } from '../aliyun/oss.js'
import type { Options } from '../config/option.js'
import { CertError } from '../errors.js'
import type { HttpConnections } from '../http-connections.js'
import { directoryLayout, directoryOptions } from './directory.js'
import { keyPrefix } from './layout.js'
import { encryptions, ossLayout, ossOptions } from './oss.js'
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
    cnameEndpoint: settings.flag('cname-endpoint'),
  })
  const given = settings.optional('bucket-endpoint')
  const bucketEndpoint =
    given === undefined && !endpoint.cname
      ? endpoint
      : ossEndpoint({ bucket, region: endpoint.region, endpoint: given, flag: '--bucket-endpoint' })
  const prefix = keyPrefix(settings.optional('prefix') ?? '')
  const encryption = settings.optional('sse')
  if (encryption !== undefined && !encryptions.some((one) => one === encryption)) {
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
    allowOlder: settings.flag('allow-older'),
    allowPublicBucket: settings.flag('allow-public-bucket'),
    warmUp: () => store.warmUp(layoutConnections),
  })
}

const directory = (settings: Settings): DeployTarget =>
  directoryLayout({ directory: resolve(settings.text('path')), allowOlder: settings.flag('allow-older') })

interface Kind {
  /** What it wants to know. */
  readonly options: Options
  make(settings: Settings, context: TargetContext): DeployTarget
}

/** The targets by kind. A new one is a file, a line here, and a page in docs/. */
const kinds: Readonly<Record<string, Kind>> = {
  oss: { options: ossOptions, make: oss },
  directory: { options: directoryOptions, make: directory },
}

export const targetOptions: Readonly<Record<string, Options>> = Object.fromEntries(
  Object.entries(kinds).map(([kind, { options }]) => [kind, options]),
)

/**
 * Makes a target out of what was given on the command line, in the configuration, or recorded in an earlier run.
 * @throws CertError USAGE
 */
export const createTarget = (kind: string, values: TargetSettings, context: TargetContext): DeployTarget => {
  const found = Object.hasOwn(kinds, kind) ? kinds[kind] : undefined
  if (found === undefined) {
    throw new CertError('USAGE', `there is no target "${kind}"`, {
      hint: `there are: ${Object.keys(kinds).join(', ')}`,
    })
  }
  return found.make(new Settings(kind, values), context)
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
