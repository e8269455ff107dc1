import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'

/** A certificate with its key, as texts. */
export interface PemPair {
  /** The leaf first. */
  readonly fullchain: string
  readonly key: string
}

/** A certificate with its key, read and found to belong together. */
export interface KeyPair extends PemPair {
  readonly leaf: X509Certificate
  /** Of the leaf's DER, in lower-case hex. */
  readonly sha256: string
}

/** What is wrong with a pair. Each product has its own words for it. */
export type Flaw = 'certificate' | 'key' | 'mismatch'

const block = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g

/** `undefined` where a block cannot be read, and where anything but certificates stands in the text. */
export const certificatesOf = (pem: string): readonly X509Certificate[] | undefined => {
  if (pem.replace(block, '').trim() !== '') return undefined
  try {
    return (pem.match(block) ?? []).map((one) => new X509Certificate(one))
  } catch {
    return undefined
  }
}

/** PKCS#1, PKCS#8 and SEC1; `undefined` for encrypted ones, and for what is no PEM. */
const privateKeyOf = (pem: string): KeyObject | undefined => {
  try {
    return createPrivateKey({ key: pem, format: 'pem' })
  } catch {
    return undefined
  }
}

/** What the services do with an upload: they read it, and look whether the key is that of the first certificate. */
export const readKeyPair = ({ fullchain, key }: PemPair): KeyPair | Flaw => {
  const [leaf] = certificatesOf(fullchain) ?? []
  if (leaf === undefined) return 'certificate'
  const privateKey = privateKeyOf(key)
  if (privateKey === undefined) return 'key'
  if (!leaf.checkPrivateKey(privateKey)) return 'mismatch'
  return { fullchain, key, leaf, sha256: leaf.fingerprint256.replaceAll(':', '').toLowerCase() }
}

/** For material that a test brings itself; out of date is fine. */
export const givenKeyPair = (pair: PemPair): KeyPair => {
  const read = readKeyPair(pair)
  if (typeof read === 'string') throw new Error(`a test gave the emulator a bad pair: ${read}`)
  return read
}

export const isExpired = ({ leaf }: Pick<KeyPair, 'leaf'>, now: Date): boolean => new Date(leaf.validTo) < now

/** The DNS names of the certificate, lower-case. */
export const dnsNames = (leaf: X509Certificate): readonly string[] =>
  [...(leaf.subjectAltName ?? '').matchAll(/DNS:("?)([^,"]+)\1/g)].map(([, , name = '']) => name.toLowerCase())

/** Whether the certificate is good for a host; a wildcard stands for exactly one label. */
export const coversHost = (leaf: X509Certificate, host: string): boolean => {
  const parent = host.slice(host.indexOf('.'))
  return dnsNames(leaf).some((name) => name === host || (name.startsWith('*.') && name.slice(1) === parent))
}
