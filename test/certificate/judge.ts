// What the tests of the certificate room measure by: node:crypto and the openssl command, used directly, and what every
// refusal must be like. Nothing here asks the code under test whether it is right.
import { type ExecFileSyncOptions, execFileSync } from 'node:child_process'
import { createHash, createPrivateKey, createPublicKey, sign, verify, X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import { type CertificateBundle, fullchain } from '../../src/certificate/bundle.js'
import { CertError, type InputCode, isInputError } from '../../src/errors.js'

/** Gone when the test is. */
export const scratch = mkdtempSync(join(tmpdir(), 'acme-oss-certificate-'))
t.teardown(() => rmSync(scratch, { recursive: true, force: true }))

let files = 0
export const fileOf = (content: string | Uint8Array): string => {
  const path = join(scratch, `${files++}.in`)
  writeFileSync(path, content)
  return path
}

const run = (args: readonly string[], options: ExecFileSyncOptions = {}): Buffer =>
  execFileSync('openssl', args, { stdio: 'pipe', cwd: scratch, ...options }) as Buffer

export const openssl = (...args: string[]): string => run(args).toString()
export const opensslBytes = (...args: string[]): Buffer => run(args)

// C0, DEL, C1, line and paragraph separators, and what turns the direction of writing round.
const unprintable = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu

/** What of a text has no business in a line on a terminal, as code points. */
export const unprintableIn = (text: string): string[] =>
  (text.match(unprintable) ?? []).map((character) => `U+${character.codePointAt(0)?.toString(16).padStart(4, '0')}`)

/** What is wrong with an error as something to show to a person, apart from its words. */
export const faultsOf = (error: CertError): string[] => {
  const { message, hint = '' } = error
  const faults: string[] = []
  if (!isInputError(error)) faults.push(`${error.code} is no input code`)
  if (!/^[a-z0-9]/.test(message) || message.endsWith('.')) faults.push(`not a sentence without capital or stop`)
  if (hint === '') faults.push('no hint')
  for (const text of [message, hint]) {
    if (unprintableIn(text).length > 0) faults.push(`no single line of plain text: ${unprintableIn(text).join(' ')}`)
    if (/undefined|null|NaN|\[object|\(\)|\$\{| {2}|^\s|\s$/.test(text))
      faults.push(`something is missing in it: ${text}`)
    if (/\bat \S+:\d+:\d+|node:|error:[0-9A-F]{8}/.test(text)) faults.push(`inner workings in it: ${text}`)
  }
  return faults
}

/** @returns the error, for what else there is to be said about it */
export const refused = (t: Test, code: InputCode, act: () => unknown, about: string, hint?: RegExp): CertError => {
  try {
    act()
  } catch (error) {
    if (!(error instanceof CertError)) throw error
    t.equal(error.code, code, `${about}: ${code}`)
    t.same(faultsOf(error), [], `${about}: for people`)
    if (hint !== undefined) t.match(error.hint, hint, `${about}: what to do`)
    return error
  }
  t.fail(`${about}: accepted instead of ${code}`)
  return new CertError(code, 'nothing was thrown')
}

/** The base64 lines of a key that stand in what an error prints of itself, its causes included. */
export const leaksOf = (error: unknown, key: string): string[] => {
  const printed = inspect(error, { depth: 10 })
  return (key.match(/^[A-Za-z0-9+/]{20,}={0,2}$/gm) ?? []).filter((line) => printed.includes(line))
}

const certificatePem =
  /^(-----BEGIN CERTIFICATE-----\n([A-Za-z0-9+/]{64}\n)*[A-Za-z0-9+/=]{1,64}\n-----END CERTIFICATE-----\n)$/
const keyPem = /^-----BEGIN PRIVATE KEY-----\n([A-Za-z0-9+/]{64}\n)*[A-Za-z0-9+/=]{1,64}\n-----END PRIVATE KEY-----\n$/

export const blocksOf = (pem: string): string[] => pem.match(/-----BEGIN [^-]+-----[^-]+-----END [^-]+-----\n?/g) ?? []

/** RFC 5280, 7.1: neither case nor the amount of white space tells two names apart. */
const folded = (name: string): string => (name ?? '').toLowerCase().replace(/ +/g, ' ')

const digest = (hash: string, bytes: Uint8Array): string => createHash(hash).update(bytes).digest('hex')

/** What speaks against a bundle, in the eyes of node:crypto: empty for a good one. */
export const objections = (bundle: CertificateBundle): string[] => {
  const found: string[] = []
  const expect = (holds: boolean, what: string): void => void (holds || found.push(what))
  const key = bundle.privateKey.reveal()
  const chainBlocks = blocksOf(bundle.chain)
  expect(certificatePem.test(bundle.leaf), 'the leaf is one block of exact PEM')
  expect(
    chainBlocks.every((block) => certificatePem.test(block)),
    'the chain is exact PEM',
  )
  expect(chainBlocks.join('') === bundle.chain, 'and nothing else')
  expect(keyPem.test(key), 'the key is one block of PKCS#8')

  const leaf = new X509Certificate(bundle.leaf)
  const chain = chainBlocks.map((block) => new X509Certificate(block))
  const privateKey = createPrivateKey(key)
  const hash = privateKey.asymmetricKeyType === 'ed25519' ? null : 'sha384'
  const probe = Buffer.from('any text')
  expect(verify(hash, probe, leaf.publicKey, sign(hash, probe, privateKey)), 'the key signs for the leaf')
  expect(createPublicKey(privateKey).equals(leaf.publicKey), 'its public half is the leaf’s')
  expect(!leaf.ca, 'the leaf is no CA')

  const path = [leaf, ...chain]
  for (const [i, above] of chain.entries()) {
    const below = path[i] as X509Certificate
    expect(above.ca, `certificate ${i + 1} of the chain is a CA's`)
    expect(below.verify(above.publicKey), `certificate ${i} is signed by the next one`)
    expect(folded(below.issuer) === folded(above.subject), `certificate ${i} names the next one as its issuer`)
    expect(!above.verify(above.publicKey), `certificate ${i + 1} is no root`)
  }
  expect(new Set(path.map((one) => one.fingerprint256)).size === path.length, 'nothing stands there twice')
  expect(fullchain(bundle) === bundle.leaf + bundle.chain, 'leaf and chain make the full chain')

  expect(bundle.fingerprint.sha1 === digest('sha1', leaf.raw), 'SHA-1 of the leaf')
  expect(bundle.fingerprint.sha256 === digest('sha256', leaf.raw), 'SHA-256 of the leaf')
  expect(bundle.serial === leaf.serialNumber, 'serial')
  expect(bundle.notBefore.getTime() === Date.parse(leaf.validFrom), 'beginning')
  expect(bundle.notAfter.getTime() === Date.parse(leaf.validTo), 'end')
  for (const name of bundle.names) {
    const matched = isIP(name) === 0 ? leaf.checkHost(name.replace(/^\*/, 'any')) : leaf.checkIP(name)
    expect(matched !== undefined, `the leaf is for ${name}`)
  }
  return found
}
