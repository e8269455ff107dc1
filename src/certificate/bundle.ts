import type { Secret } from '../secret.js'

/** What is known of a certificate without holding it. */
export interface CertificateFacts {
  /** What it is filed under: a lineage, or the first of `names`. */
  readonly name: string
  /** DNS names (A-labels, lower case) and IP addresses that the leaf is valid for, in its own order. */
  readonly names: readonly string[]
  readonly notBefore: Date
  readonly notAfter: Date
  /** Hexadecimal, upper case, as openssl prints it. */
  readonly serial: string
  /** Of the leaf's DER, hexadecimal, lower case. */
  readonly fingerprint: { readonly sha1: string; readonly sha256: string }
}

/**
 * One certificate in its one normal form. Whoever holds a bundle need check nothing more: the key is the leaf's, the
 * chain is in order and without the root, and the certificate was in force when the bundle was made.
 */
export interface CertificateBundle extends CertificateFacts {
  /** The leaf alone, PEM: `cert.pem`. */
  readonly leaf: string
  /** Intermediates from the leaf's issuer upward, without the root, PEM; empty where there are none: `chain.pem`. */
  readonly chain: string
  /** PKCS#8 PEM, unencrypted: `privkey.pem`. */
  readonly privateKey: Secret
  /** Who issued the leaf, as one line: `CN=E5, O=Let's Encrypt, C=US`. */
  readonly issuer: string
  /** For people: `RSA 2048`, `EC P-256`, `Ed25519`. */
  readonly keyType: string
}

/** Leaf and chain, as a server is configured with them: `fullchain.pem`. */
export const fullchain = (bundle: CertificateBundle): string => bundle.leaf + bundle.chain

/** The folder that this certificate is archived under: `2026-05-30_e5f6a7b8`. */
export const archiveName = ({ notBefore, fingerprint }: CertificateFacts): string =>
  `${notBefore.toISOString().slice(0, 10)}_${fingerprint.sha1.slice(0, 8)}`
