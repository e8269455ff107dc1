// The certificate that answers a tls-alpn-01 challenge (RFC 8737), as openssl sees it.
import { createHash, X509Certificate } from 'node:crypto'
import t from 'tap'
import { challengeCertificate } from '../../src/certificate/challenge-certificate.js'
import { generateKey } from '../mint.js'
import { fileOf, openssl } from './judge.js'

const now = new Date('2031-05-04T03:02:01Z')

t.test('exactly the name, and the digest in a critical extension', async (t) => {
  const expected: Record<string, string> = {
    'www.example.com': 'DNS:www.example.com',
    'xn--bcher-kva.example': 'DNS:xn--bcher-kva.example',
    '192.0.2.1': 'IP Address:192.0.2.1',
    '2001:db8::1': 'IP Address:2001:DB8:0:0:0:0:0:1',
  }
  for (const [name, entry] of Object.entries(expected)) {
    const key = generateKey('ec256')
    const pem = await challengeCertificate(key, name, `token-of-${name}.thumbprint`, now)
    const certificate = new X509Certificate(pem)
    t.ok(certificate.checkPrivateKey(key))
    t.ok(certificate.verify(certificate.publicKey), 'self-signed')
    t.ok(new Date(certificate.validFrom) < now && now < new Date(certificate.validTo), 'valid at this time')
    const text = openssl('x509', '-in', fileOf(pem), '-noout', '-text')
    t.equal(/Subject Alternative Name: *(?:critical)?\s+(.*)\n/.exec(text)?.[1], entry)
    t.match(text, /1\.3\.6\.1\.5\.5\.7\.1\.31: critical|ACME Identifier: critical/i)
    const digest = createHash('sha256').update(`token-of-${name}.thumbprint`).digest('hex')
    // The extension whole: its OID, TRUE, and an OCTET STRING within an OCTET STRING.
    t.ok(certificate.raw.toString('hex').includes(`06082b0601050507011f0101ff04220420${digest}`))
  }
})
