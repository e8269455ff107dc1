import { createPublicKey, type KeyObject } from 'node:crypto'
import { CertError } from '../errors.js'
import type { CertificateBundle } from './bundle.js'
import { type Chain, orderChain } from './chain.js'
import { refuseBinary, refusePkcs7 } from './container.js'
import { type IssuedMaterial, materialLimit } from './material.js'
import { type PemBlock, readPem, writePem } from './pem.js'
import { isKeyLabel, keyType, readPrivateKey, toPkcs8 } from './private-key.js'
import { type Certificate, readCertificate } from './x509.js'

export interface Normalized {
  readonly bundle: CertificateBundle
  /** What is odd but no reason to refuse, one sentence each. */
  readonly warnings: readonly string[]
}

/** A clock may be wrong by as much as Alibaba Cloud itself puts up with, in ms. */
export const clockSkew = 15 * 60 * 1000

/**
 * The only gate into the pipeline: finds leaf, chain and key in whatever a source handed over, proves that they belong
 * together, and writes them in one normal form. Same material and moment, same bundle, byte for byte.
 * @throws CertError one of the input codes, each with a hint that says what to do
 */
export const normalize = (material: IssuedMaterial, now: Date): Normalized => {
  const texts = [...new Set([material.certificates, material.privateKey.reveal()])]
  if (texts.reduce((sum, text) => sum + text.length, 0) > materialLimit) {
    throw new CertError('INPUT_TOO_LARGE', 'the certificate material is larger than 1 MiB', {
      hint: 'give the leaf, its intermediates and the key, and nothing else',
    })
  }
  const blocks = texts.flatMap((text) => readBlocks(text))
  const key = findKey(blocks.filter((block) => isKeyLabel(block.label)))
  const certificates = readCertificates(blocks.filter((block) => isCertificateLabel(block.label)))
  const leaf = findLeaf(certificates, key)
  requireInForce(leaf, now)
  const chain = orderChain(
    leaf,
    certificates.filter((one) => one !== leaf),
    (one) => one.notAfter.getTime() > now.getTime(),
  )
  const pem = (one: Certificate) => writePem('CERTIFICATE', one.der)
  const bundle: CertificateBundle = {
    name: material.name || leaf.names[0] || leaf.commonName || leaf.fingerprint.sha1.slice(0, 8),
    leaf: pem(leaf),
    chain: chain.intermediates.map(pem).join(''),
    privateKey: toPkcs8(key),
    names: leaf.names,
    issuer: leaf.issuer,
    keyType: keyType(key),
    notBefore: leaf.notBefore,
    notAfter: leaf.notAfter,
    serial: leaf.serial,
    fingerprint: leaf.fingerprint,
  }
  return { bundle, warnings: oddities(leaf, chain, now) }
}

const isCertificateLabel = (label: string): boolean => /^(X509 |TRUSTED )?CERTIFICATE$/.test(label)

const readBlocks = (text: string): PemBlock[] => {
  const blocks = readPem(
    text,
    (label) => isKeyLabel(label) || isCertificateLabel(label) || label === 'PKCS7' || label === 'CMS',
  )
  if (blocks.length === 0) refuseBinary(text)
  for (const block of blocks) {
    if (block.label === 'PKCS7' || block.label === 'CMS') refusePkcs7()
    if (block.label === 'TRUSTED CERTIFICATE') {
      throw new CertError(
        'CERTIFICATE_UNREADABLE',
        `line ${block.line} begins a certificate with OpenSSL's trust marks`,
        {
          hint: 'take them off with: openssl x509 -in FILE -out cert.pem',
        },
      )
    }
  }
  return blocks
}

const findKey = (blocks: readonly PemBlock[]): KeyObject => {
  // The same key a thousand times over is proven once.
  const distinct = new Map(
    blocks.map((block) => [`${block.label} ${block.encrypted} ${block.der.toString('base64')}`, block]),
  )
  const keys = [...distinct.values()].map(readPrivateKey)
  const [key, ...others] = keys
  if (key === undefined) {
    throw new CertError('KEY_MISSING', 'there is no private key in the input', {
      hint: 'give the key that the certificate was requested with, as PEM (BEGIN PRIVATE KEY)',
    })
  }
  if (others.some((other) => !createPublicKey(other).equals(createPublicKey(key)))) {
    throw new CertError('KEY_AMBIGUOUS', 'there are several different private keys in the input', {
      hint: 'give the files of one certificate only',
    })
  }
  return key
}

const readCertificates = (blocks: readonly PemBlock[]): Certificate[] => {
  const distinct = new Map<string, Certificate>()
  for (const block of blocks) {
    const certificate = readCertificate(block.der, `the certificate in line ${block.line}`)
    if (!distinct.has(certificate.fingerprint.sha256)) distinct.set(certificate.fingerprint.sha256, certificate)
  }
  if (distinct.size === 0) {
    throw new CertError('CERTIFICATE_MISSING', 'there is no certificate in the input', {
      hint: 'give the full chain as PEM (BEGIN CERTIFICATE): certbot calls it fullchain.pem, acme.sh fullchain.cer',
    })
  }
  return [...distinct.values()]
}

const findLeaf = (certificates: readonly Certificate[], key: KeyObject): Certificate => {
  const mine = certificates.filter((one) => one.hasKey(key))
  const leaves = mine.filter((one) => !one.isAuthority)
  const [leaf] = leaves
  if (leaf !== undefined && leaves.length === 1) return leaf
  if (leaf !== undefined) {
    throw new CertError('LEAF_AMBIGUOUS', `${leaves.length} different certificates belong to this private key`, {
      hint: `give the one that is to be served: ${leaves
        .slice(0, 5)
        .map((one) => `serial ${one.serial} (until ${day(one.notAfter)})`)
        .join(', ')}`,
    })
  }
  const [authority] = mine
  if (authority !== undefined) {
    throw new CertError(
      'CERTIFICATE_IS_CA',
      `the certificate of ${authority.subject || 'this key'} is a CA's own, not a server's`,
      {
        hint: 'issue a server certificate from it (basicConstraints CA:FALSE) and give that one with its own key',
      },
    )
  }
  const [first] = certificates
  throw new CertError('KEY_MISMATCH', 'the private key belongs to none of the certificates', {
    hint: `give the key that was made for ${first?.names.slice(0, 5).join(', ') || first?.subject || 'the certificate'}; after a renewal, both files must be of the same one`,
  })
}

const requireInForce = (leaf: Certificate, now: Date): void => {
  if (leaf.notAfter.getTime() <= now.getTime()) {
    throw new CertError(
      'CERTIFICATE_EXPIRED',
      `the certificate of ${title(leaf)} expired on ${moment(leaf.notAfter)}`,
      {
        hint: 'issue a new one; if it is new, the clock of this machine is wrong',
      },
    )
  }
  if (leaf.notBefore.getTime() > now.getTime() + clockSkew) {
    throw new CertError(
      'CERTIFICATE_NOT_YET_VALID',
      `the certificate of ${title(leaf)} begins only on ${moment(leaf.notBefore)}`,
      {
        hint: 'wait until then; if that moment has passed, the clock of this machine is wrong',
      },
    )
  }
}

const oddities = (leaf: Certificate, chain: Chain, now: Date): string[] => {
  const warnings: string[] = []
  if (chain.intermediates.length === 0 && !chain.rootGiven && !leaf.issuedBy(leaf)) {
    warnings.push(
      `no intermediate certificates were given: unless ${leaf.issuer || 'the issuer'} is a root that clients trust, they will refuse the certificate`,
    )
  }
  for (const one of chain.leftOut)
    warnings.push(`left out, since it belongs to another path: ${one.subject} by ${one.issuer}`)
  for (const one of chain.intermediates) {
    if (one.notAfter.getTime() <= now.getTime()) {
      warnings.push(`the intermediate certificate of ${one.subject} expired on ${moment(one.notAfter)}`)
    }
  }
  if (leaf.names.length === 0) warnings.push('the certificate has no subject alternative names: no browser accepts it')
  for (const odd of leaf.oddNames) warnings.push(`a name that no client can match was passed over: ${odd}`)
  return warnings
}

const title = (leaf: Certificate): string => leaf.names[0] ?? (leaf.subject || `serial ${leaf.serial}`)
const day = (date: Date): string => date.toISOString().slice(0, 10)
const moment = (date: Date): string => `${date.toISOString().slice(0, 19)}Z`
