// What the stub issues, and the chains that it stands on.
import 'reflect-metadata'
import { createPublicKey, type KeyObject, randomBytes, webcrypto } from 'node:crypto'
import { isIP } from 'node:net'
import * as x509 from '@peculiar/x509'
import { type Authority, crossSign, generateKey, mintAuthority } from '../mint.js'
import { type Manners, validity } from './manners.js'

export interface IssuedCertificate {
  /** Its place in the list of all. */
  readonly id: number
  /** Hexadecimal: the bytes of the DER integer, a leading 00 with them. */
  readonly serial: string
  /** Its name in ARI (RFC 9773, 4.1). */
  readonly certId: string
  readonly names: readonly string[]
  /** Of the account and the order, their places in the lists. */
  readonly account: number
  readonly order: number
  /** The `certId` that its order replaces. */
  readonly replaces: string | undefined
  readonly notBefore: Date
  readonly notAfter: Date
  /** The leaf alone. */
  readonly pem: string
  readonly der: Buffer
  /** The reason that was given; undefined while it is not revoked. */
  readonly revoked: number | undefined
}

interface Kept extends IssuedCertificate {
  revoked: number | undefined
}

interface Wanted extends Pick<IssuedCertificate, 'account' | 'order' | 'replaces'> {
  readonly profile: string | undefined
}

const day = 86_400_000
const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

/** A signing request whose signature is good, and the names it asks for. */
export interface SigningRequest {
  readonly names: readonly string[]
  readonly csr: x509.Pkcs10CertificateRequest
}

/** Undefined where it is none. */
export const readSigningRequest = async (base64url: string): Promise<SigningRequest | undefined> => {
  try {
    const csr = new x509.Pkcs10CertificateRequest(Buffer.from(base64url, 'base64url'))
    if (!(await csr.verify())) return undefined
    const alternative = csr.extensions.find((one) => one instanceof x509.SubjectAlternativeNameExtension)
    return { csr, names: alternative?.names.items.map(({ value }) => value) ?? [] }
  } catch {
    return undefined
  }
}

/** base64url of the issuer's key identifier, a dot, base64url of the serial number as DER has it. */
export const certIdOf = (keyIdentifier: string, serial: string): string => {
  const base64url = (hexadecimal: string): string => Buffer.from(hexadecimal, 'hex').toString('base64url')
  return `${base64url(keyIdentifier)}.${base64url(serial)}`
}

export class Certificates {
  readonly all: Kept[] = []
  readonly #manners: Manners
  readonly #issuer: Authority
  readonly #signingKey: webcrypto.CryptoKey
  readonly #authorityKey: x509.AuthorityKeyIdentifierExtension
  readonly #crossed = new Map<string, Promise<Authority>>()

  private constructor(
    manners: Manners,
    issuer: Authority,
    key: webcrypto.CryptoKey,
    authorityKey: x509.AuthorityKeyIdentifierExtension,
  ) {
    this.#manners = manners
    this.#issuer = issuer
    this.#signingKey = key
    this.#authorityKey = authorityKey
  }

  static async open(manners: Manners): Promise<Certificates> {
    const issuer = await mintAuthority({ name: 'Stub CA', issuer: await mintAuthority({ name: 'Stub Root' }) })
    const pkcs8 = issuer.key.export({ type: 'pkcs8', format: 'der' })
    const key = await webcrypto.subtle.importKey('pkcs8', pkcs8, algorithm, false, ['sign'])
    const spki = createPublicKey(issuer.key).export({ type: 'spki', format: 'der' })
    return new Certificates(manners, issuer, key, await x509.AuthorityKeyIdentifierExtension.create(spki))
  }

  async issue({ csr, names: asked }: SigningRequest, { profile, ...origin }: Wanted): Promise<IssuedCertificate> {
    const { issues, lifetime, profiles } = this.#manners
    const names = issues === 'without the last name' ? asked.slice(0, -1) : asked
    const { notBefore, notAfter } = validity(profiles[profile ?? '']?.lifetime ?? lifetime, Date.now())
    const isExpired = issues === 'an expired one'
    const serial = serialNumber(this.all.length)
    const publicKey =
      issues === 'for another key'
        ? createPublicKey(generateKey('ec256')).export({ type: 'spki', format: 'der' })
        : csr.publicKey.rawData
    const leaf = await x509.X509CertificateGenerator.create({
      subject: 'CN=stub',
      issuer: `CN=${this.#issuer.name}`,
      serialNumber: serial,
      notBefore,
      notAfter: isExpired ? new Date(Date.now() - day) : notAfter,
      publicKey,
      extensions: [new x509.SubjectAlternativeNameExtension(names.map(toGeneralName)), this.#authorityKey],
      signingKey: this.#signingKey,
      signingAlgorithm: algorithm,
    })
    const certificate: Kept = {
      id: this.all.length,
      serial,
      certId: certIdOf(this.#authorityKey.keyId ?? '', serial),
      names,
      ...origin,
      notBefore: leaf.notBefore,
      notAfter: leaf.notAfter,
      pem: `${leaf.toString('pem')}\n`,
      der: Buffer.from(leaf.rawData),
      revoked: undefined,
    }
    this.all.push(certificate)
    return certificate
  }

  /** The leaf and what stands above it: 0 is the chain that is given unasked, and the others follow. */
  async chain({ pem }: IssuedCertificate, which: number): Promise<string | undefined> {
    if (which === 0) return `${pem}${this.#issuer.pem}`
    const root = this.#manners.alternateRoots[which - 1]
    if (root === undefined) return undefined
    const crossed = this.#crossed.get(root) ?? this.#cross(root)
    this.#crossed.set(root, crossed)
    return `${pem}${(await crossed).pem}`
  }

  /** Is it the key of the certificate itself? */
  isKeyOf({ der }: IssuedCertificate, key: KeyObject): boolean {
    const spki = key.export({ type: 'spki', format: 'der' })
    return spki.equals(Buffer.from(new x509.X509Certificate(der).publicKey.rawData))
  }

  byDer(base64url: string): Kept | undefined {
    const der = Buffer.from(base64url, 'base64url')
    return this.all.find((one) => one.der.equals(der))
  }

  byCertId(certId: string): Kept | undefined {
    return this.all.find((one) => one.certId === certId)
  }

  async #cross(root: string): Promise<Authority> {
    return crossSign(this.#issuer, await mintAuthority({ name: root }))
  }
}

/** Every other one has its highest bit set, and so a leading 00 in DER. */
const serialNumber = (id: number): string => {
  const bytes = randomBytes(16)
  const first = ((bytes[0] ?? 0) & 0x7f) | (id % 2 === 0 ? 0x80 : 0x01)
  bytes[0] = first
  return `${first >= 0x80 ? '00' : ''}${bytes.toString('hex')}`
}

const toGeneralName = (value: string): { readonly type: 'ip' | 'dns'; readonly value: string } => ({
  type: isIP(value) === 0 ? 'dns' : 'ip',
  value,
})
