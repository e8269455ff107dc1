// Certificates minted at run time: no test keeps a certificate on disk that would run out one day. This file is the test
// side's only door to @peculiar/x509.
import 'reflect-metadata'
import { createPublicKey, generateKeyPairSync, type KeyObject, webcrypto } from 'node:crypto'
import { isIP } from 'node:net'
import {
  AuthorityInfoAccessExtension,
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from '@peculiar/x509'

type RsaKind = 'rsa2048' | 'rsa3072' | 'rsa4096'
export type KeyKind = RsaKind | 'ec256' | 'ec384' | 'ec521' | 'ed25519'

export type KeyForm = 'pkcs8' | 'pkcs1' | 'sec1' | 'sec1-with-params' | 'pkcs8-encrypted' | 'legacy-encrypted'

export interface Minted {
  /** One certificate: 64 columns, LF, a final LF. */
  readonly pem: string
  readonly der: Buffer
  /** The private key, as node:crypto knows it. */
  readonly key: KeyObject
}

export interface Authority extends Minted {
  /** The common name, which is the whole subject. */
  readonly name: string
}

interface Validity {
  notBefore?: Date
  notAfter?: Date
}

interface AuthorityOptions extends Validity {
  name?: string
  key?: KeyKind | KeyObject
  /** The authority above this one; a root when absent. */
  issuer?: Authority
}

interface LeafOptions extends Validity {
  /** Self-signed when absent. */
  issuer?: Authority
  /** DNS names (wildcards too) and IP addresses, in the order of the SAN. */
  names: readonly string[]
  /** The first name that fits into 64 characters unless told otherwise; none when false. */
  commonName?: string | false
  key?: KeyKind | KeyObject
  /** Hexadecimal; random when absent. */
  serial?: string
  ca?: boolean
  /** False leaves the SAN out. */
  san?: false
  /** Where the issuer's certificate can be fetched, as leaves of public CAs say. */
  issuerUrl?: string
}

/** What `keyPem` encrypts with unless told otherwise. */
export const testPassphrase = 'correct horse battery staple'

const day = 86_400_000

/** `notBefore` goes back far enough that a leaf which ran out long ago still has a chain of its time above it. */
const authorityDays = { before: 2 * 365, after: 10 * 365 }

export async function mintAuthority(options: AuthorityOptions = {}): Promise<Authority> {
  const { issuer, name = issuer ? 'Test Intermediate CA' : 'Test Root CA' } = options
  const key = keyFrom(options.key)
  const signer = issuer ?? { name, key }
  const now = Date.now()
  const notBefore = options.notBefore ?? new Date(now - authorityDays.before * day)
  const notAfter = options.notAfter ?? new Date(now + authorityDays.after * day)
  const usages = KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign | KeyUsageFlags.digitalSignature
  const extensions = [
    new BasicConstraintsExtension(true, undefined, true),
    new KeyUsagesExtension(usages, true),
    ...(await identifiers(key, signer.key)),
  ]
  return { name, ...(await certify({ subject: name, key, signer, notBefore, notAfter, extensions })) }
}

/** The same subject and the same key once more, vouched for by another issuer. */
export async function crossSign(
  authority: Authority,
  byIssuer: Authority,
  validity: Validity = {},
): Promise<Authority> {
  return mintAuthority({ ...validity, name: authority.name, key: authority.key, issuer: byIssuer })
}

export async function mintLeaf(options: LeafOptions): Promise<Minted> {
  const { issuer, names, ca = false } = options
  const key = keyFrom(options.key)
  const commonName = options.commonName ?? names.find((name) => name.length <= 64) ?? false
  const signer = issuer ?? { name: commonName, key }
  const extensions: Extension[] = [
    new BasicConstraintsExtension(ca, undefined, true),
    new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
    ...(await identifiers(key, signer.key)),
  ]
  // a self-signed one has none: without keyCertSign it would not count as its own issuer
  if (issuer) extensions.push(new KeyUsagesExtension(leafUsages(key, ca), true))
  if (options.issuerUrl) extensions.push(new AuthorityInfoAccessExtension({ caIssuers: [options.issuerUrl] }))
  if (options.san !== false) {
    const san = names.map((value) => ({ type: isIP(value) ? ('ip' as const) : ('dns' as const), value }))
    // RFC 5280, 4.2.1.6: critical where the subject is empty
    extensions.push(new SubjectAlternativeNameExtension(san, commonName === false))
  }
  return certify({ subject: commonName, key, signer, serial: options.serial, ...leafValidity(options), extensions })
}

/** A fresh private key. */
export function generateKey(kind: KeyKind): KeyObject {
  switch (kind) {
    case 'rsa2048':
      return generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
    case 'rsa3072':
      return generateKeyPairSync('rsa', { modulusLength: 3072 }).privateKey
    case 'rsa4096':
      return generateKeyPairSync('rsa', { modulusLength: 4096 }).privateKey
    case 'ec256':
      return generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey
    case 'ec384':
      return generateKeyPairSync('ec', { namedCurve: 'secp384r1' }).privateKey
    case 'ec521':
      return generateKeyPairSync('ec', { namedCurve: 'secp521r1' }).privateKey
    case 'ed25519':
      return generateKeyPairSync('ed25519').privateKey
  }
}

const rsaKeys = new Map<string, KeyObject>()

/** The RSA key of that label, generated once in a process: 4096 bits take a second and more. */
export function rsaKey(label: string, kind: RsaKind = 'rsa2048'): KeyObject {
  const slot = `${kind} ${label}`
  const key = rsaKeys.get(slot) ?? generateKey(kind)
  rsaKeys.set(slot, key)
  return key
}

/** Throws where the form does not exist for the key, such as PKCS#1 for an EC key. */
export function keyPem(key: KeyObject, form: KeyForm, passphrase = testPassphrase): string {
  const traditional = key.asymmetricKeyType === 'rsa' ? 'pkcs1' : 'sec1'
  const encrypted = { format: 'pem', cipher: 'aes-256-cbc', passphrase } as const
  switch (form) {
    case 'pkcs8':
    case 'pkcs1':
    case 'sec1':
      return key.export({ type: form, format: 'pem' }).toString()
    case 'sec1-with-params':
      return pemOf('EC PARAMETERS', curveOid(key)) + keyPem(key, 'sec1')
    case 'pkcs8-encrypted':
      return key.export({ type: 'pkcs8', ...encrypted }).toString()
    case 'legacy-encrypted':
      return key.export({ type: traditional, ...encrypted }).toString()
  }
}

export function pemOf(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return `${[`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`].join('\n')}\n`
}

// --- below: how it is done ---

interface Signer {
  readonly name: string | false
  readonly key: KeyObject
}

interface Certified {
  subject: string | false
  key: KeyObject
  signer: Signer
  serial?: string | undefined
  notBefore: Date
  notAfter: Date
  extensions: Extension[]
}

async function certify(wanted: Certified): Promise<Minted> {
  const { subject, key, signer, serial } = wanted
  const certificate = await X509CertificateGenerator.create({
    ...(serial === undefined ? {} : { serialNumber: serial }),
    ...(subject === false ? {} : { subject: nameOf(subject) }),
    ...(signer.name === false ? {} : { issuer: nameOf(signer.name) }),
    notBefore: wholeSecond(wanted.notBefore),
    notAfter: wholeSecond(wanted.notAfter),
    publicKey: spki(key),
    extensions: wanted.extensions,
    ...(await signingWith(signer.key)),
  })
  const der = Buffer.from(certificate.rawData)
  return { pem: pemOf('CERTIFICATE', der), der, key }
}

/** As a list, so that a comma or a plus sign in a name stays part of it. */
function nameOf(commonName: string): Array<{ CN: string[] }> {
  return [{ CN: [commonName] }]
}

function leafUsages(key: KeyObject, ca: boolean): number {
  const encipherment = key.asymmetricKeyType === 'rsa' ? KeyUsageFlags.keyEncipherment : 0
  return KeyUsageFlags.digitalSignature | encipherment | (ca ? KeyUsageFlags.keyCertSign : 0)
}

async function identifiers(key: KeyObject, signingKey: KeyObject): Promise<Extension[]> {
  return [
    await SubjectKeyIdentifierExtension.create(spki(key)),
    await AuthorityKeyIdentifierExtension.create(spki(signingKey)),
  ]
}

/** All leaves of one test begin at once, unless told otherwise: of two, which is newer must not hang on a second's end. */
const now = Date.now()

/** One date alone moves the other with it: `notAfter: yesterday` gives a leaf that ran out, not one that never was. */
function leafValidity({ notBefore, notAfter }: Validity): Required<Validity> {
  const life = 90 * day
  if (notBefore) return { notBefore, notAfter: notAfter ?? new Date(Math.max(now, notBefore.getTime()) + life) }
  const end = notAfter ?? new Date(now + life)
  // an hour back, for clocks that are late
  return { notBefore: new Date(Math.min(now - 3_600_000, end.getTime() - life)), notAfter: end }
}

/** X.509 has no fractions, and a GeneralizedTime with one is not DER. */
function wholeSecond(date: Date): Date {
  return new Date(Math.floor(date.getTime() / 1000) * 1000)
}

function keyFrom(key: KeyKind | KeyObject = 'ec256'): KeyObject {
  return typeof key === 'string' ? generateKey(key) : key
}

function spki(key: KeyObject): Buffer {
  return createPublicKey(key).export({ type: 'spki', format: 'der' })
}

/** WebCrypto reads PKCS#8 only, and wants to be told what it is given. */
async function signingWith(key: KeyObject): Promise<{
  signingKey: webcrypto.CryptoKey
  signingAlgorithm: { name: string; hash?: string }
}> {
  const algorithm = webAlgorithm(key)
  const der = key.export({ type: 'pkcs8', format: 'der' })
  const signingKey = await webcrypto.subtle.importKey('pkcs8', der, algorithm, false, ['sign'])
  return { signingKey, signingAlgorithm: algorithm }
}

function webAlgorithm(key: KeyObject): { name: string; hash?: string; namedCurve?: string } {
  if (key.asymmetricKeyType === 'rsa') return { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
  if (key.asymmetricKeyType === 'ed25519') return { name: 'Ed25519' }
  switch (curveOf(key)) {
    case 'prime256v1':
      return { name: 'ECDSA', hash: 'SHA-256', namedCurve: 'P-256' }
    case 'secp384r1':
      return { name: 'ECDSA', hash: 'SHA-384', namedCurve: 'P-384' }
    case 'secp521r1':
      return { name: 'ECDSA', hash: 'SHA-512', namedCurve: 'P-521' }
  }
}

type Curve = 'prime256v1' | 'secp384r1' | 'secp521r1'

/** As DER, which is what an EC PARAMETERS block holds. */
const curveOids: Record<Curve, string> = {
  prime256v1: '06082a8648ce3d030107',
  secp384r1: '06052b81040022',
  secp521r1: '06052b81040023',
}

function curveOf(key: KeyObject): Curve {
  const curve = key.asymmetricKeyDetails?.namedCurve
  if (curve === 'prime256v1' || curve === 'secp384r1' || curve === 'secp521r1') return curve
  throw new TypeError(`no curve known here: ${key.asymmetricKeyType} ${curve}`)
}

function curveOid(key: KeyObject): Buffer {
  return Buffer.from(curveOids[curveOf(key)], 'hex')
}
