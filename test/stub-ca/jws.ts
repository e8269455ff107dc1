// What ACME wraps its requests in (RFC 7515, RFC 8555, 6.2), as the stub reads it.
import { createHash, createHmac, createPublicKey, type JsonWebKey, type KeyObject, verify } from 'node:crypto'

export interface Jws {
  readonly protected: string
  readonly payload: string
  readonly signature: string
}

export interface Protected {
  readonly alg?: string
  readonly nonce?: string
  readonly url?: string
  readonly kid?: string
  readonly jwk?: JsonWebKey
}

/** '' for a look, which has no payload. */
export const decode = (part: string): unknown =>
  part === '' ? '' : JSON.parse(Buffer.from(part, 'base64url').toString())

export const isJws = (value: unknown): value is Jws =>
  typeof value === 'object' &&
  value !== null &&
  ['protected', 'payload', 'signature'].every((name) => typeof (value as Record<string, unknown>)[name] === 'string')

const hashes: Readonly<Record<string, { readonly hash: string; readonly type: string }>> = {
  ES256: { hash: 'sha256', type: 'ec' },
  ES384: { hash: 'sha384', type: 'ec' },
  RS256: { hash: 'sha256', type: 'rsa' },
}

export const algorithms: readonly string[] = Object.keys(hashes)

/** Undefined where it is none. */
export const publicKey = (jwk: JsonWebKey): KeyObject | undefined => {
  try {
    return createPublicKey({ key: jwk, format: 'jwk' })
  } catch {
    return undefined
  }
}

export const isSignedBy = (jws: Jws, alg: string | undefined, key: KeyObject): boolean => {
  const how = hashes[alg ?? '']
  if (how === undefined || key.asymmetricKeyType !== how.type) return false
  const signed = Buffer.from(`${jws.protected}.${jws.payload}`)
  return verify(how.hash, signed, { key, dsaEncoding: 'ieee-p1363' }, Buffer.from(jws.signature, 'base64url'))
}

export const isMacOf = (jws: Jws, alg: string | undefined, secret: string): boolean => {
  const bits = /^HS(256|384|512)$/.exec(alg ?? '')?.[1]
  if (bits === undefined) return false
  const mac = createHmac(`sha${bits}`, Buffer.from(secret, 'base64url')).update(`${jws.protected}.${jws.payload}`)
  return mac.digest('base64url') === jws.signature
}

/** RFC 7638: the same for the same key, however it is written. */
export const thumbprint = (jwk: JsonWebKey): string => {
  const members = jwk.kty === 'RSA' ? (['e', 'kty', 'n'] as const) : (['crv', 'kty', 'x', 'y'] as const)
  const json = JSON.stringify(Object.fromEntries(members.map((name) => [name, jwk[name]])))
  return createHash('sha256').update(json).digest('base64url')
}
