// What a certificate is called where its CA is asked when to renew it (RFC 9773, 4.1).
import { X509Certificate } from 'node:crypto'
import t from 'tap'
import { renewalId } from '../../src/certificate/renewal-id.js'
import { mintAuthority, mintLeaf, pemOf } from '../mint.js'

const hex = (digits: string): Buffer => Buffer.from(digits.replace(/[ :]/g, ''), 'hex')

/** DER by hand, for identifiers that are chosen; short lengths only. */
const element = (tag: number, ...content: readonly Uint8Array[]): Buffer => {
  const body = Buffer.concat(content)
  if (body.length > 0x7f) throw new RangeError('too long for a length of one byte')
  return Buffer.concat([Buffer.from([tag, body.length]), body])
}
const sequence = (...content: readonly Uint8Array[]): Buffer => element(0x30, ...content)

/** As much of a certificate as matters, with the fields in their order around it. */
const certificateWith = (serial: Buffer, ...extensions: readonly Buffer[]): string => {
  const empty = sequence()
  const before = [element(0xa0, element(0x02, hex('02'))), element(0x02, serial), empty, empty, empty, empty, empty]
  const toBeSigned = sequence(...before, ...(extensions.length > 0 ? [element(0xa3, sequence(...extensions))] : []))
  return pemOf('CERTIFICATE', sequence(toBeSigned, empty, element(0x03, hex('00'))))
}
const extension = (oid: string, ...rest: readonly Buffer[]): Buffer => sequence(element(0x06, hex(oid)), ...rest)
const keyIdentifier = (value: Buffer): Buffer => element(0x04, sequence(element(0x80, value)))

const signer = hex('69:88:5B:6B:87:46:40:41:E1:B3:7B:84:7B:A0:AE:2C:DE:01:C8:D4')
const serial = hex('00:87:65:43:21')

t.test('the example of the RFC', async (t) => {
  const pem = certificateWith(serial, extension('55 1d 23', keyIdentifier(signer)))
  t.equal(renewalId(pem), 'aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE')
})

t.test('among other extensions, and marked as critical', async (t) => {
  const critical = extension('55 1d 23', element(0x01, hex('ff')), keyIdentifier(signer))
  const pem = certificateWith(serial, extension('55 1d 0e', element(0x04, element(0x04, hex('0102')))), critical)
  t.equal(renewalId(pem), 'aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE')
})

t.test('what does not say which key signed it has none', async (t) => {
  const byName = extension('55 1d 23', element(0x04, sequence(element(0xa1), element(0x82, hex('01')))))
  const none: Readonly<Record<string, string>> = {
    'no extensions': certificateWith(serial),
    'no such extension': certificateWith(serial, extension('55 1d 0e', keyIdentifier(signer))),
    'only the issuer’s name and serial number': certificateWith(serial, byName),
    'an extension without a value': certificateWith(serial, extension('55 1d 23')),
    'not a certificate': pemOf('CERTIFICATE', hex('05 00')),
    'no bytes of DER': pemOf('CERTIFICATE', hex('ff')),
    'another block': pemOf('PUBLIC KEY', hex('30 00')),
    'no PEM': 'hello',
  }
  for (const [what, pem] of Object.entries(none)) t.equal(renewalId(pem), undefined, what)
})

t.test('certificates as CAs make them', async (t) => {
  const issuer = await mintAuthority({ name: 'Issuing CA', issuer: await mintAuthority() })
  const issuerPem = new X509Certificate(issuer.pem)
  for (const serial of ['01', '7f', '80', '00ff00ff', 'f3c1a0b2d4e5f60718293a4b5c6d7e8f9001']) {
    const leaf = await mintLeaf({ issuer, names: ['example.com', '*.example.com'], serial })
    const [key, number] = (renewalId(leaf.pem + issuer.pem) ?? '')
      .split('.')
      .map((one) => Buffer.from(one, 'base64url'))
    t.ok(key !== undefined && key.length === 20 && issuerPem.raw.includes(key), 'the key identifier of its issuer')
    t.equal(BigInt(`0x${number?.toString('hex')}`), BigInt(`0x${serial}`), `serial number ${serial}`)
    t.ok((number?.[0] ?? 0xff) < 0x80, 'as a positive number')
  }
})
