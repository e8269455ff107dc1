import { type KeyObject, X509Certificate } from 'node:crypto'
import { CertError } from '../errors.js'
import { readAlternativeNames } from './names.js'
import { readPem } from './pem.js'

/** A certificate as read from DER; nothing about it has been decided yet. */
export interface Certificate {
  readonly der: Buffer
  /** As one line, the most specific part first: `CN=E5, O=Let's Encrypt, C=US`; empty where there is none. */
  readonly subject: string
  readonly issuer: string
  readonly names: readonly string[]
  /** Entries of the subject alternative name that no client can match. */
  readonly oddNames: readonly string[]
  readonly commonName: string | undefined
  readonly notBefore: Date
  readonly notAfter: Date
  readonly serial: string
  readonly fingerprint: { readonly sha1: string; readonly sha256: string }
  /** Does it say that it may sign other certificates? */
  readonly isAuthority: boolean
  readonly publicKey: KeyObject
  /** Has `issuer` issued this one: its name stands in it, and its key made the signature? */
  issuedBy(issuer: Certificate): boolean
  hasKey(privateKey: KeyObject): boolean
}

/**
 * @param where how an error names the certificate, such as `the certificate in line 3`
 * @throws CertError CERTIFICATE_UNREADABLE
 */
export const readCertificate = (der: Buffer, where: string): Certificate => {
  const x509 = parse(der, where)
  const alternative = readAlternativeNames(x509.subjectAltName)
  const certificate: Certificate = {
    der,
    subject: oneLine(x509.subject),
    issuer: oneLine(x509.issuer),
    names: alternative.names,
    oddNames: alternative.odd,
    commonName: /(?:^|, )CN=((?:[^,\\]|\\.)+)/.exec(oneLine(x509.subject))?.[1],
    notBefore: readDate(x509.validFrom, where),
    notAfter: readDate(x509.validTo, where),
    serial: x509.serialNumber,
    fingerprint: { sha1: plainHex(x509.fingerprint), sha256: plainHex(x509.fingerprint256) },
    isAuthority: x509.ca,
    publicKey: x509.publicKey,
    issuedBy: (issuer) => folded(certificate.issuer) === folded(issuer.subject) && x509.verify(issuer.publicKey),
    hasKey: (privateKey) => x509.checkPrivateKey(privateKey),
  }
  return certificate
}

const unreadable = (where: string, why: string, cause?: unknown): CertError =>
  new CertError('CERTIFICATE_UNREADABLE', `${where} ${why}`, {
    cause,
    hint: 'fetch it again from where it was issued; openssl x509 -in FILE -noout -text shows what stands in it',
  })

const parse = (der: Buffer, where: string): X509Certificate => {
  let x509: X509Certificate
  try {
    x509 = new X509Certificate(der)
    // Node reads these only when asked, and throws only then.
    void x509.publicKey
    void x509.subjectAltName
  } catch (error) {
    throw unreadable(where, 'cannot be read', error)
  }
  // What OpenSSL reads leniently (bytes behind the certificate, BER) other readers refuse, and a fingerprint over it
  // would be another one.
  if (!x509.raw.equals(der)) throw unreadable(where, 'is followed by something else or is not exact DER')
  return x509
}

const readDate = (text: string, where: string): Date => {
  const date = new Date(text)
  if (Number.isNaN(date.getTime())) throw unreadable(where, `has a validity date that cannot be read (${text})`)
  return date
}

const plainHex = (fingerprint: string): string => fingerprint.replaceAll(':', '').toLowerCase()

const oneLine = (name: string | undefined): string =>
  (name ?? '')
    .split('\n')
    .filter((part) => part !== '')
    .reverse()
    .join(', ')
    .replace(unprintable, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`)

// OpenSSL escapes C0 alone; a terminal obeys C1 as well, and lets itself be turned round.
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

/** Neither case nor the amount of white space tells two names apart (RFC 5280, 7.1). */
const folded = (name: string): string => name.toLowerCase().replace(/\s+/g, ' ')

/** The first certificate in a PEM text; undefined where there is none that can be read. */
export const firstCertificate = (text: string): Certificate | undefined => {
  try {
    const [block] = readPem(text, (label) => label === 'CERTIFICATE')
    return block === undefined ? undefined : readCertificate(block.der, 'the certificate')
  } catch {
    return undefined
  }
}
