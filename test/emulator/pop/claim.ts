import { randomUUID } from 'node:crypto'
import type { Parameter } from '../percent-encoding.js'
import type { WireRequest } from '../wire-request.js'

/** What a request says about itself; nothing of it is proven. */
export interface Claim {
  readonly scheme: 'acs3' | 'rpc'
  readonly action: string
  readonly version: string
  /** Those of the API, without the common ones of the transport. */
  readonly parameters: readonly Parameter[]
  readonly accessKeyId: string | undefined
  readonly signature: string | undefined
  /** Lower-case; of version 3 only. */
  readonly signedHeaders: readonly string[]
  readonly token: string | undefined
  readonly nonce: string | undefined
  readonly timestamp: string | undefined
  readonly format: 'JSON' | 'XML'
  readonly requestId: string
}

const common: ReadonlySet<string> = new Set([
  'AccessKeyId',
  'Action',
  'Format',
  'RegionId',
  'SecurityToken',
  'Signature',
  'SignatureMethod',
  'SignatureNonce',
  'SignatureType',
  'SignatureVersion',
  'Timestamp',
  'Version',
])

const algorithm = 'ACS3-HMAC-SHA256'

/** A form body counts with POST alone. */
export const sentParameters = ({ method, parameters, form }: WireRequest): readonly Parameter[] =>
  method === 'POST' ? [...parameters, ...form] : parameters

const version3 = (request: WireRequest): Claim => {
  const { headers } = request
  const { authorization = '' } = headers
  const field = (name: string): string | undefined => new RegExp(`[ ,]${name}=([^,\\s]+)`).exec(authorization)?.[1]
  const whole = authorization.startsWith(`${algorithm} `)
  const parameters = sentParameters(request)
  const format = parameters.find(([name]) => name === 'Format')?.[1]
  return {
    scheme: 'acs3',
    action: headers['x-acs-action'] ?? '',
    version: headers['x-acs-version'] ?? '',
    parameters: parameters.filter(([name]) => !common.has(name)),
    accessKeyId: whole ? field('Credential') : undefined,
    signature: whole ? field('Signature') : undefined,
    signedHeaders: (field('SignedHeaders') ?? '').split(';').map((name) => name.toLowerCase()),
    token: headers['x-acs-security-token'],
    nonce: headers['x-acs-signature-nonce'],
    timestamp: headers['x-acs-date'],
    format: format?.toUpperCase() === 'XML' ? 'XML' : 'JSON',
    requestId: randomUUID().toUpperCase(),
  }
}

const rpc = (request: WireRequest): Claim => {
  const parameters = sentParameters(request)
  const value = (name: string): string | undefined => parameters.find(([given]) => given === name)?.[1]
  return {
    scheme: 'rpc',
    action: value('Action') ?? '',
    version: value('Version') ?? '',
    parameters: parameters.filter(([name]) => !common.has(name)),
    accessKeyId: value('AccessKeyId'),
    signature: value('Signature'),
    signedHeaders: [],
    token: value('SecurityToken'),
    nonce: value('SignatureNonce'),
    timestamp: value('Timestamp'),
    format: value('Format')?.toUpperCase() === 'JSON' ? 'JSON' : 'XML',
    requestId: randomUUID().toUpperCase(),
  }
}

/** `undefined` for what is no call of an RPC product at all. */
export const readClaim = (request: WireRequest): Claim | undefined => {
  if (request.path !== '/') return undefined
  if (request.headers['x-acs-action'] !== undefined) return version3(request)
  const names = new Set(sentParameters(request).map(([name]) => name))
  return names.has('Action') && names.has('Version') ? rpc(request) : undefined
}
