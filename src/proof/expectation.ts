import { createHash } from 'node:crypto'
import type { CertificateBundle } from '../certificate/bundle.js'
import { readPem } from '../certificate/pem.js'
import type { HostedOn } from './dns-path.js'

/** What ought to be served. */
export interface Expectation {
  /** Of the leaf's DER: hexadecimal, lower case. */
  readonly sha256?: string | undefined
  /** The same of each intermediate that ought to be sent with it. */
  readonly chain?: readonly string[] | undefined
  /** Where it has been hosted, if that is known. */
  readonly hostedOn?: HostedOn | undefined
}

/** What ought to be served once `bundle` is deployed. */
export const expectationOf = (
  { fingerprint, chain }: Pick<CertificateBundle, 'fingerprint' | 'chain'>,
  hostedOn?: HostedOn,
): Expectation => ({ sha256: fingerprint.sha256, chain: certificateSums(chain), hostedOn })

/** The certificates in a PEM text, each by its SHA-256; none where it cannot be read. */
export const certificateSums = (pem: string): string[] => {
  try {
    const blocks = readPem(pem, (label) => label === 'CERTIFICATE')
    return blocks.map(({ der }) => createHash('sha256').update(der).digest('hex'))
  } catch {
    return []
  }
}
