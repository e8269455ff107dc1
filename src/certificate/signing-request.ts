import type { KeyObject } from 'node:crypto'
import { x509Builder } from './x509-builder.js'

/**
 * A certificate signing request (PKCS#10, RFC 2986) for `names`, DER.
 * @param key RSA, EC P-256, P-384 or P-521
 * @param names as `canonicalName` spells them
 */
export const signingRequest = async (key: KeyObject, names: readonly string[]): Promise<Buffer> => {
  const { x509, keys, signingAlgorithm, alternativeNames } = await x509Builder(key, names)
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    keys,
    signingAlgorithm,
    extensions: [alternativeNames],
  })
  return Buffer.from(request.rawData)
}
