import { isIP } from 'node:net'
import { resolve } from 'node:path'
import type { CertificateService } from '../aliyun/certificate-service.js'
import type { CredentialSource } from '../aliyun/credentials.js'
import type { EdgeProduct } from '../aliyun/edge-domains.js'
import { ossEndpoint } from '../aliyun/endpoint.js'
import { OssBucket } from '../aliyun/oss.js'
import { hostOf, originOf } from '../aliyun/oss-request.js'
import { boundDomains, certificateService, edgeDomains } from '../aliyun/products.js'
import type { Permission } from '../aliyun/ram-policy.js'
import { canonicalName, isWildcard } from '../certificate/names.js'
import type { Options } from '../config/option.js'
import { CertError } from '../errors.js'
import type { HttpConnections } from '../http-connections.js'
import { archiveOnly } from './archive-only.js'
import { auto } from './auto.js'
import { cas, casOptions } from './cas.js'
import { casPermissions, keepingPermission } from './cas-permissions.js'
import { directoryLayout, directoryOptions } from './directory.js'
import { cdnOptions, dcdnOptions, edgeTarget } from './edge.js'
import { edgePermissions } from './edge-permissions.js'
import { exec, execOptions, longestExec, usualExec } from './exec.js'
import { keyPrefix } from './layout.js'
import { openTo } from './open-to.js'
import { encryptions, ossLayout, ossOptions } from './oss.js'
import { ossCname, ossCnameOptions } from './oss-cname.js'
import { ossCnamePermissions } from './oss-cname-permissions.js'
import { ossPermissions } from './oss-permissions.js'
import type { Looking } from './served.js'
import type { DeployTarget, TargetSettings } from './target.js'
import type { TrustRule } from './untrusted.js'

/** What targets reach the world with; none of it is part of what they are. */
export interface TargetContext {
  readonly credentials: CredentialSource
  readonly connections: HttpConnections
  /** Deadline of one request with its retries, in ms. */
  readonly timeout: number
  readonly now: () => Date
  /** How to look at what is served; once, where it is absent. */
  readonly looking?: Looking | undefined
  /** The roots that browsers trust, PEM; those that Node brings, where it is absent. */
  readonly roots?: (() => readonly string[]) | undefined
  readonly trace?: ((line: string) => void) | undefined
  /** What commands of the user's are to have of it; nothing, where it is absent. */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined
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
    trust: trustRule(settings, context),
    allowPublicBucket: settings.flag('allow-public-bucket'),
    warmUp: () => store.warmUp(layoutConnections),
    reachedThrough: endpoint.cname ? endpoint.url.hostname : undefined,
    justBound: () => store.settle(context.looking?.limit ?? 0),
    ...(settings.flag('verify') && {
      exposed: (key, others, signal) => {
        const domains = boundDomains({ ...context, bucket, endpoint: bucketEndpoint, bucketEndpoint })
        const own = { origin: originOf(bucket, endpoint), host: hostOf(bucket, endpoint) }
        return openTo(key, { bucket, own, domains, others, context }, signal)
      },
    }),
  })
}

const cname = (settings: Settings, context: TargetContext): DeployTarget => {
  const bucket = settings.text('bucket')
  // A bound domain takes calls about objects only.
  const shared = settings.flag('cname-endpoint') ? undefined : settings.optional('endpoint')
  const given = settings.optional('bucket-endpoint')
  const endpoint = ossEndpoint({
    bucket,
    region: settings.optional('region'),
    endpoint: given ?? shared,
    flag: given === undefined ? '--endpoint' : '--bucket-endpoint',
  })
  const domains = boundDomains({ ...context, bucket, endpoint, bucketEndpoint: endpoint })
  return ossCname({
    bucket,
    domain: exactHost(settings.text('domain')),
    domains,
    endpoint: endpoint.url.origin,
    service: settings.service(context),
    settings: settings.values,
    allowOlder: settings.flag('allow-older'),
    trust: trustRule(settings, context),
    verify: settings.flag('verify'),
    timeout: context.timeout,
    context,
  })
}

/** @throws CertError USAGE */
const exactHost = (domain: string): string => {
  if (domain === auto) return auto
  const name = hostName(domain)
  if (!isWildcard(name)) return name
  throw new CertError('USAGE', `${domain} cannot be bound to a bucket: OSS takes exact host names alone`, {
    hint: 'name each host (a wildcard certificate is fine for it), or give auto for all that are bound already',
  })
}

const hostName = (domain: string): string => {
  const name = canonicalName(domain)
  if (name !== undefined && isIP(name) === 0) return name
  throw new CertError('USAGE', `"${domain}" is not a domain`, { hint: 'such as static.example.com, or auto' })
}

const edge =
  (product: EdgeProduct) =>
  (settings: Settings, context: TargetContext): DeployTarget => {
    const { domains, endpoint } = edgeDomains(product, settings.optional(`${product}-endpoint`), context)
    return edgeTarget({
      domain: edgeName(settings.text('domain')),
      domains,
      endpoint,
      service: settings.service(context),
      settings: settings.values,
      enableHttps: settings.flag('enable-https'),
      allowOlder: settings.flag('allow-older'),
      trust: trustRule(settings, context),
      verify: settings.flag('verify'),
      timeout: context.timeout,
      context,
    })
  }

/** CDN spells a wildcard with a leading dot; certificates, and most people, with a star before it. */
const edgeName = (domain: string): string =>
  domain === auto ? auto : hostName(domain.startsWith('.') ? `*${domain}` : domain).replace(/^\*/, '')

const certificates = (settings: Settings, context: TargetContext): DeployTarget => {
  const { service, endpoint } = certificateService(settings.optional('cas-endpoint'), context)
  const { now } = context
  return cas({ service, endpoint, settings: settings.values, prune: settings.flag('prune'), now })
}

const directory = (settings: Settings, context: TargetContext): DeployTarget =>
  directoryLayout({
    directory: resolve(settings.text('path')),
    allowOlder: settings.flag('allow-older'),
    trust: trustRule(settings, context),
  })

const command = (settings: Settings, { environment = {} }: TargetContext): DeployTarget =>
  exec({
    command: settings.text('command'),
    isForShell: settings.flag('shell'),
    timeout: settings.wholeNumber('timeout', { most: longestExec, usual: usualExec }) * 1000,
    settings: settings.values,
    environment,
  })

const trustRule = (settings: Settings, { now, roots }: TargetContext): TrustRule => ({
  allowUntrusted: settings.flag('allow-untrusted'),
  now,
  roots,
})

/** The rights that a target uses, beside the others of the same deployment. */
type Permissions = (settings: Settings, others: readonly Settings[]) => readonly Permission[]

const ossRights: Permissions = (settings, others) => {
  const bucket = settings.text('bucket')
  return ossPermissions({
    bucket,
    prefix: keyPrefix(settings.optional('prefix') ?? ''),
    encryption: settings.optional('sse'),
    allowPublicBucket: settings.flag('allow-public-bucket'),
    verify: settings.flag('verify'),
    isOpened: others.some((other) => mayOpen(other, bucket)),
  })
}

/** As `opens` of the targets would answer; where that has to be asked for, it may be so. */
const mayOpen = (other: Settings, bucket: string): boolean =>
  other.kind === 'oss-cname'
    ? other.optional('bucket') === bucket
    : isEdge(other) && other.optional('domain') !== undefined

const isEdge = ({ kind }: Settings): boolean => kind === 'cdn' || kind === 'dcdn'

const cnameRights: Permissions = (settings) => [
  ...ossCnamePermissions({
    bucket: settings.text('bucket'),
    isAuto: exactHost(settings.text('domain')) === auto,
  }),
  ...serviceRights(settings),
]

const edgeRights =
  (product: EdgeProduct): Permissions =>
  (settings, others) => [
    ...edgePermissions({
      product,
      domain: edgeName(settings.text('domain')),
      isBesideLayout: others.some(({ kind }) => kind === 'oss'),
    }),
    ...serviceRights(settings),
  ]

const serviceRights = (settings: Settings): readonly Permission[] =>
  settings.flag('via-cas') ? [keepingPermission] : []

interface Kind {
  /** What it wants to know. */
  readonly options: Options
  readonly permissions: Permissions
  make(settings: Settings, context: TargetContext): DeployTarget
}

/** The targets by kind. A new one is a file, a line here, and a page in docs/. */
const kinds: Readonly<Record<string, Kind>> = {
  oss: { options: ossOptions, permissions: ossRights, make: oss },
  'oss-cname': { options: ossCnameOptions, permissions: cnameRights, make: cname },
  cdn: { options: cdnOptions, permissions: edgeRights('cdn'), make: edge('cdn') },
  dcdn: { options: dcdnOptions, permissions: edgeRights('dcdn'), make: edge('dcdn') },
  cas: {
    options: casOptions,
    permissions: (settings) => casPermissions({ prune: settings.flag('prune') }),
    make: certificates,
  },
  directory: { options: directoryOptions, permissions: () => [], make: directory },
  exec: { options: execOptions, permissions: () => [], make: command },
}

export const targetOptions: Readonly<Record<string, Options>> = Object.fromEntries(
  Object.entries(kinds).map(([kind, { options }]) => [kind, options]),
)

/**
 * Makes a target out of what was given on the command line, in the configuration, or recorded in an earlier run.
 * @throws CertError USAGE
 */
export const createTarget = (kind: string, values: TargetSettings, context: TargetContext): DeployTarget => {
  const settings = new Settings(kind, values)
  const target = kindOf(kind).make(settings, context)
  // No option of anybody's: `renew` asks for it, for the certificate that is kept ready beside the one in use.
  return settings.flag('archive-only') ? archiveOnly(target) : target
}

/**
 * The rights that each of a deployment's targets uses. Nothing is reached for.
 * @throws CertError USAGE
 */
export const targetPermissions = (
  deployment: readonly { readonly kind: string; readonly settings: TargetSettings }[],
): (readonly Permission[])[] => {
  const all = deployment.map(({ kind, settings }) => new Settings(kind, settings))
  return all.map((one) =>
    kindOf(one.kind).permissions(
      one,
      all.filter((other) => other !== one),
    ),
  )
}

/** @throws CertError USAGE */
const kindOf = (kind: string): Kind => {
  const found = Object.hasOwn(kinds, kind) ? kinds[kind] : undefined
  if (found !== undefined) return found
  throw new CertError('USAGE', `there is no target "${kind}"`, {
    hint: `there are: ${Object.keys(kinds).join(', ')}`,
  })
}

/** Typed values out of a target's settings; what is missing is named. */
class Settings {
  readonly kind: string
  readonly values: TargetSettings

  constructor(kind: string, values: TargetSettings) {
    this.kind = kind
    this.values = values
  }

  optional(name: string): string | undefined {
    const value = this.values[name]
    return typeof value === 'string' && value !== '' ? value : undefined
  }

  text(name: string): string {
    const value = this.optional(name)
    if (value === undefined)
      throw new CertError('USAGE', `the target ${this.kind} needs a ${name}`, { hint: `add --${name}` })
    return value
  }

  wholeNumber(name: string, { most, usual }: { readonly most: number; readonly usual: number }): number {
    const value = this.optional(name)
    if (value === undefined) return usual
    if (/^\d{1,9}$/.test(value) && Number(value) >= 1 && Number(value) <= most) return Number(value)
    throw new CertError('USAGE', `the ${name} of the target ${this.kind} is "${value}"`, {
      hint: `give a whole number from 1 to ${most}`,
    })
  }

  flag(name: string): boolean {
    return this.values[name] === true
  }

  /** The certificate service, where certificates are to go through it. */
  service(context: TargetContext): CertificateService | undefined {
    return this.flag('via-cas') ? certificateService(this.optional('cas-endpoint'), context).service : undefined
  }
}
