import { createPrivateKey, createPublicKey, type JsonWebKey, type KeyObject, sign, verify } from 'node:crypto'
import { CertError } from '../errors.js'
import { Secret } from '../secret.js'
import { isWholeSequence } from './der.js'
import type { PemBlock } from './pem.js'

const curves: Readonly<Record<string, string>> = { prime256v1: 'P-256', secp384r1: 'P-384', secp521r1: 'P-521' }

// In bits. OpenSSL verifies nothing with longer ones, and proving one would take minutes.
const longestRsa = 16_384

export const isKeyLabel = (label: string): boolean => label.endsWith('PRIVATE KEY')

/**
 * Reads a PKCS#8, PKCS#1 or SEC1 key and proves it: what comes back can make signatures that its public half accepts.
 * @throws CertError KEY_ENCRYPTED, KEY_UNREADABLE, KEY_UNSUPPORTED or KEY_DAMAGED
 */
export const readPrivateKey = (block: PemBlock): KeyObject => {
  const where = `the private key in line ${block.line}`
  if (block.encrypted || block.label.startsWith('ENCRYPTED')) {
    throw new CertError('KEY_ENCRYPTED', `${where} is encrypted`, {
      hint: 'decrypt it with: openssl pkey -in FILE -out privkey.pem (it asks for the passphrase)',
    })
  }
  if (block.label === 'OPENSSH PRIVATE KEY') {
    throw new CertError('KEY_UNREADABLE', `${where} is an SSH key`, {
      hint: 'give the key that the certificate was requested with',
    })
  }
  const key = parse(block, where)
  keyType(key)
  return prove(key, where)
}

const parse = (block: PemBlock, where: string): KeyObject => {
  const type = ({ 'RSA PRIVATE KEY': 'pkcs1', 'EC PRIVATE KEY': 'sec1', 'PRIVATE KEY': 'pkcs8' } as const)[block.label]
  if (type === undefined) {
    throw new CertError('KEY_UNSUPPORTED', `${where} is of a kind that no web server takes (${block.label})`, {
      hint: 'RSA, EC (P-256, P-384, P-521) and Ed25519 keys are taken',
    })
  }
  const unreadable = (cause?: unknown) =>
    new CertError('KEY_UNREADABLE', `${where} cannot be read`, {
      cause,
      hint: 'the file may be damaged: openssl pkey -in FILE -noout -check tells',
    })
  if (!isWholeSequence(block.der)) throw unreadable()
  try {
    return createPrivateKey({ key: block.der, format: 'der', type })
  } catch (error) {
    throw unreadable(error)
  }
}

/**
 * For people: `RSA 2048`, `EC P-256`, `Ed25519`.
 * @throws CertError KEY_UNSUPPORTED
 */
export const keyType = (key: KeyObject): string => {
  const details = key.asymmetricKeyDetails
  const curve = curves[details?.namedCurve ?? '']
  if (key.asymmetricKeyType === 'rsa' && (details?.modulusLength ?? 0) <= longestRsa)
    return `RSA ${details?.modulusLength}`
  if (key.asymmetricKeyType === 'ec' && curve !== undefined) return `EC ${curve}`
  if (key.asymmetricKeyType === 'ed25519') return 'Ed25519'
  const kind = [key.asymmetricKeyType, details?.namedCurve].filter(Boolean).join(' ') || 'unknown'
  throw new CertError('KEY_UNSUPPORTED', `the private key is of a kind that is not served anywhere (${kind})`, {
    hint: 'RSA, EC (P-256, P-384, P-521) and Ed25519 keys are taken',
  })
}

/**
 * The key rebuilt from its numbers: one form whatever encoding it came in, so that the same key always gives the same
 * bytes. OpenSSL compares public halves only, and a key whose private half is damaged would pass for the right one.
 */
const prove = (key: KeyObject, where: string): KeyObject => {
  try {
    const jwk = key.export({ format: 'jwk' })
    if (jwk.kty === 'RSA' && !isConsistentRsa(jwk)) throw new Error('the numbers of the RSA key contradict each other')
    const rebuilt = createPrivateKey({ key: jwk, format: 'jwk' })
    const probe = Buffer.from('acme-oss')
    // Ed25519 hashes by itself.
    const hash = key.asymmetricKeyType === 'ed25519' ? null : 'sha256'
    if (!verify(hash, probe, createPublicKey(key), sign(hash, probe, rebuilt))) throw new Error('it signs wrongly')
    return rebuilt
  } catch (error) {
    throw new CertError('KEY_DAMAGED', `${where} is damaged: its parts do not belong together`, {
      cause: error,
      hint: 'restore it from where it was made, or issue the certificate anew with a new key',
    })
  }
}

// OpenSSL signs with a damaged RSA key all the same, by the long way round; other servers refuse to load it.
const isConsistentRsa = (jwk: JsonWebKey): boolean => {
  const number = (value: string | undefined) =>
    BigInt(`0x${Buffer.from(value ?? '', 'base64url').toString('hex') || '0'}`)
  const [n, e, d, p, q] = [jwk.n, jwk.e, jwk.d, jwk.p, jwk.q].map(number) as [bigint, bigint, bigint, bigint, bigint]
  const [dp, dq, qi] = [jwk.dp, jwk.dq, jwk.qi].map(number) as [bigint, bigint, bigint]
  if (p < 3n || q < 3n) return false
  return (
    p * q === n &&
    (e * d) % (p - 1n) === 1n &&
    (e * d) % (q - 1n) === 1n &&
    dp === d % (p - 1n) &&
    dq === d % (q - 1n) &&
    (qi * q) % p === 1n
  )
}

/** PKCS#8 PEM: `BEGIN PRIVATE KEY`, 64 columns. */
export const toPkcs8 = (key: KeyObject): Secret => new Secret(key.export({ type: 'pkcs8', format: 'pem' }).toString())

const traditional: ReadonlyMap<string | undefined, 'pkcs1' | 'sec1'> = new Map([
  ['rsa', 'pkcs1'],
  ['ec', 'sec1'],
] as const)

/**
 * The key of a bundle in its traditional encoding, which every product of the cloud is known to take: PKCS#1 for RSA,
 * SEC1 for EC. An Ed25519 key has none and stays PKCS#8.
 */
export const toTraditional = (pkcs8: Secret): Secret => {
  const key = createPrivateKey(pkcs8.reveal())
  const type = traditional.get(key.asymmetricKeyType) ?? 'pkcs8'
  return new Secret(key.export({ type, format: 'pem' }).toString())
}
