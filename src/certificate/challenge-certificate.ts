import { createHash, type KeyObject } from 'node:crypto'
import { x509Builder } from './x509-builder.js'

const day = 24 * 3_600_000

// id-pe-acmeIdentifier.
const acmeIdentifier = '1.3.6.1.5.5.7.1.31'

/**
 * The self-signed certificate that answers a tls-alpn-01 challenge (RFC 8737, 3), PEM.
 * @param name the one name in it, or the one address (RFC 8738), as `canonicalName` spells it
 * @param now who looks may have another clock
 */
export const challengeCertificate = async (
  key: KeyObject,
  name: string,
  keyAuthorization: string,
  now: Date,
): Promise<string> => {
  const { x509, keys, signingAlgorithm, alternativeNames } = await x509Builder(key, [name])
  const digest = createHash('sha256').update(keyAuthorization).digest()
  const octetString = Buffer.concat([Buffer.from([0x04, digest.length]), digest])
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=ACME challenge',
    keys,
    signingAlgorithm,
    notBefore: new Date(now.getTime() - day),
    notAfter: new Date(now.getTime() + 7 * day),
    extensions: [alternativeNames, new x509.Extension(acmeIdentifier, true, octetString)],
  })
  return certificate.toString('pem')
}
