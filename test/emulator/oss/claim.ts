import { invalidArgument, type OssRefusal } from './refusal.js'
import { algorithmV4, parseCredential, type Scope } from './signature-v4.js'
import type { SignedRequest } from './signed-request.js'

/** What a request says about its signature. */
interface Claimed {
  readonly id: string
  readonly signature: string
  readonly token: string | undefined
}

export type Claim =
  | (Claimed & { readonly scheme: 'v1-header' })
  | (Claimed & { readonly scheme: 'v1-url'; readonly expires: string })
  | (Claimed & { readonly scheme: 'v4-header'; readonly scope: Scope; readonly additional: readonly string[] })
  | (Claimed & {
      readonly scheme: 'v4-url'
      readonly scope: Scope
      readonly additional: readonly string[]
      readonly timestamp: string
      readonly expires: string
    })

const badAuthorization = (value: string): OssRefusal =>
  invalidArgument('Authorization header is invalid.', 'Authorization', value, '0002-00000063')

const names = (list: string | undefined): readonly string[] => list?.split(';').filter((name) => name !== '') ?? []

const v1Header = (authorization: string, token: string | undefined): Claim => {
  const [, id, signature] = /^OSS ([^:\s]+):(\S+)$/.exec(authorization) ?? []
  if (id === undefined || signature === undefined) throw badAuthorization(authorization)
  return { scheme: 'v1-header', id, signature, token }
}

const v4Header = (authorization: string, token: string | undefined): Claim => {
  const fields = new Map<string, string>()
  // Some clients put a blank behind the comma.
  for (const part of authorization.slice(algorithmV4.length).split(',')) {
    const [, name, value] = /^\s*(\w+)=(\S+)\s*$/.exec(part) ?? []
    if (name === undefined || value === undefined) throw badAuthorization(authorization)
    fields.set(name, value)
  }
  const credential = parseCredential(fields.get('Credential') ?? '')
  const signature = fields.get('Signature')
  if (credential === undefined || signature === undefined) throw badAuthorization(authorization)
  return { scheme: 'v4-header', ...credential, signature, token, additional: names(fields.get('AdditionalHeaders')) }
}

const badUrl = (missing: string): OssRefusal =>
  invalidArgument('The signed URL lacks a parameter or has one that is not valid.', missing, '', '0002-00000063')

const v4Url = (query: Readonly<Record<string, string>>): Claim => {
  if (query['x-oss-signature-version'] !== algorithmV4) throw badUrl('x-oss-signature-version')
  const credential = parseCredential(query['x-oss-credential'] ?? '')
  if (credential === undefined) throw badUrl('x-oss-credential')
  const signature = query['x-oss-signature']
  if (signature === undefined) throw badUrl('x-oss-signature')
  const expires = query['x-oss-expires'] ?? ''
  if (!/^[1-9]\d{0,5}$/.test(expires) || Number(expires) > 604_800) throw badUrl('x-oss-expires')
  return {
    scheme: 'v4-url',
    ...credential,
    signature,
    token: query['x-oss-security-token'],
    additional: names(query['x-oss-additional-headers']),
    timestamp: query['x-oss-date'] ?? '',
    expires,
  }
}

const v1Url = (query: Readonly<Record<string, string>>): Claim => {
  const { OSSAccessKeyId: id, Signature: signature, Expires: expires } = query
  if (!id) throw badUrl('OSSAccessKeyId')
  if (!signature) throw badUrl('Signature')
  if (!expires || !/^\d+$/.test(expires)) throw badUrl('Expires')
  return { scheme: 'v1-url', id, signature, token: query['security-token'], expires }
}

/** `undefined` for an anonymous request; throws for one that tries to be signed and is not well-formed. */
export const readClaim = ({ headers, parameters }: SignedRequest): Claim | undefined => {
  const { authorization } = headers
  const token = headers['x-oss-security-token']
  if (authorization !== undefined)
    return authorization.startsWith(`${algorithmV4} `) ? v4Header(authorization, token) : v1Header(authorization, token)
  const query = Object.fromEntries(parameters)
  if ('x-oss-signature' in query || 'x-oss-signature-version' in query) return v4Url(query)
  return 'OSSAccessKeyId' in query || 'Signature' in query ? v1Url(query) : undefined
}
