import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { archiveName, type CertificateBundle, fullchain } from '../../src/certificate/bundle.js'
import { decodeText } from '../../src/certificate/container.js'
import { materialLimit } from '../../src/certificate/material.js'
import { clockSkew, type Normalized, normalize } from '../../src/certificate/normalize.js'
import type { CertError, InputCode } from '../../src/errors.js'
import { Secret } from '../../src/secret.js'
import {
  type Authority,
  crossSign,
  generateKey,
  keyPem,
  type Minted,
  mintAuthority,
  mintLeaf,
  pemOf,
  rsaKey,
} from '../mint.js'
import { fileOf, leaksOf, objections, openssl, opensslBytes, refused, scratch, unprintableIn } from './judge.js'

const day = 86_400_000
const now = new Date()
const days = (count: number): Date => new Date(now.getTime() + count * day)

const take = (certificates: string, privateKey = certificates, at = now): Normalized =>
  normalize({ certificates, privateKey: new Secret(privateKey) }, at)

/** All of a bundle that is text, so that two can be compared byte for byte. */
const written = (bundle: CertificateBundle): unknown => ({ ...bundle, privateKey: bundle.privateKey.reveal() })

const refuses = (
  t: Test,
  code: InputCode,
  certificates: string,
  key: string,
  about: string,
  hint?: RegExp,
): CertError => {
  const error = refused(t, code, () => take(certificates, key), about, hint)
  t.same(leaksOf(error, key), [], `${about}: the key stays where it is`)
  return error
}

const root = await mintAuthority({ name: 'Root' })
const upper = await mintAuthority({ name: 'Upper', issuer: root })
const lower = await mintAuthority({ name: 'Lower', issuer: upper })
const leaf = await mintLeaf({ names: ['www.example.com', '*.example.com', '192.0.2.1', '2001:db8::1'], issuer: lower })
const key = keyPem(leaf.key, 'pkcs8')
const chain = lower.pem + upper.pem
const good = take(leaf.pem + chain, key)

t.test('the bundle', async (t) => {
  const { bundle, warnings } = good
  t.same(warnings, [])
  t.same(objections(bundle), [])
  t.equal(bundle.leaf, leaf.pem)
  t.equal(bundle.chain, chain)
  t.equal(bundle.privateKey.reveal(), key)
  t.equal(fullchain(bundle), leaf.pem + chain)
  t.same(bundle.names, ['www.example.com', '*.example.com', '192.0.2.1', '2001:db8::1'])
  t.equal(bundle.issuer, 'CN=Lower')
  t.equal(bundle.keyType, 'EC P-256')
  const printed = (...what: string[]): string => openssl('x509', '-noout', '-in', fileOf(leaf.pem), ...what)
  t.equal(printed('-serial'), `serial=${bundle.serial}\n`)
  const fingerprint = bundle.fingerprint.sha256.toUpperCase().match(/../g)?.join(':')
  t.match(printed('-fingerprint', '-sha256'), new RegExp(`=${fingerprint}\n`))
  const iso = (date: Date): string => date.toISOString().slice(0, 19).replace('T', ' ')
  t.equal(
    printed('-dates', '-dateopt', 'iso_8601'),
    `notBefore=${iso(bundle.notBefore)}Z\nnotAfter=${iso(bundle.notAfter)}Z\n`,
  )
  t.match(archiveName(bundle), /^\d{4}-\d\d-\d\d_[0-9a-f]{8}$/)
  t.match(openssl('verify', '-CAfile', fileOf(root.pem), '-untrusted', fileOf(bundle.chain), fileOf(bundle.leaf)), /OK/)
  t.same(written(take(fullchain(bundle), bundle.privateKey.reveal()).bundle), written(bundle), 'a bundle is its own')
})

t.test('what it is called', async (t) => {
  const named = (name: string | undefined, one: Minted, at = now): string =>
    normalize({ name, certificates: one.pem, privateKey: new Secret(keyPem(one.key, 'pkcs8')) }, at).bundle.name
  t.equal(named('lineage', leaf), 'lineage')
  t.equal(named(undefined, leaf), 'www.example.com')
  t.equal(named('', leaf), 'www.example.com')
  t.equal(named(undefined, await mintLeaf({ names: ['Bare'], san: false })), 'Bare', 'the common name at a pinch')
  const nameless = await mintLeaf({ names: ['a.test'], san: false, commonName: false })
  t.equal(
    named(undefined, nameless),
    new X509Certificate(nameless.der).fingerprint.replaceAll(':', '').slice(0, 8).toLowerCase(),
  )
})

t.test('any order', async (t) => {
  const blocks = [leaf.pem, lower.pem, upper.pem, root.pem, key]
  const orders = (items: readonly string[]): string[][] =>
    items.length === 0 ? [[]] : items.flatMap((item, i) => orders(items.toSpliced(i, 1)).map((rest) => [item, ...rest]))
  const wrong = orders(blocks).filter((order) => {
    const { bundle, warnings } = take(order.join(''))
    return warnings.length > 0 || JSON.stringify(written(bundle)) !== JSON.stringify(written(good.bundle))
  })
  t.equal(orders(blocks).length, 120)
  t.same(wrong, [])
})

t.test('any dress', async (t) => {
  const all = leaf.pem + chain + key
  const bags = openssl(
    ...['pkcs12', '-nodes', '-passin', 'pass:a', '-in'],
    fileOf(
      opensslBytes(
        ...['pkcs12', '-export', '-passout', 'pass:a', '-name', 'a -----BEGIN friendly name'],
        ...['-in', fileOf(leaf.pem), '-inkey', fileOf(key), '-certfile', fileOf(chain + root.pem)],
      ),
    ),
  )
  t.match(bags, /Bag Attributes\n/)
  const text = (pem: string): string => openssl('x509', '-text', '-in', fileOf(pem))
  const request = openssl('req', '-new', '-key', fileOf(key), '-subj', '/CN=a')
  const publicKey = openssl('pkey', '-in', fileOf(key), '-pubout')
  const rewrap = (pem: string, columns: number, glue: string): string =>
    pem.replace(/(-----BEGIN [A-Z ]+-----)([^-]+)/g, (_, begin: string, body: string) => {
      const lines = body.replace(/\s/g, '').match(new RegExp(`.{1,${columns}}`, 'g')) ?? []
      return [begin, ...lines, ''].join(glue)
    })
  const cases: Record<string, [string, string?]> = {
    'in one text': [all],
    'the key first': [key + leaf.pem + chain],
    'the certificates in the text of the key': ['', all],
    'everything in both': [all, all],
    'a file each, and one again': [leaf.pem + chain + leaf.pem + chain, leaf.pem + key],
    'each twice': [leaf.pem.repeat(2) + lower.pem.repeat(3) + chain + root.pem.repeat(2), key.repeat(2)],
    'the key in two forms': [leaf.pem + chain, keyPem(leaf.key, 'sec1') + key],
    'with parameters before the key': [leaf.pem + chain, keyPem(leaf.key, 'sec1-with-params')],
    'the parameters alone, somewhere else': [keyPem(leaf.key, 'sec1-with-params') + leaf.pem + chain],
    CRLF: [all.replaceAll('\n', '\r\n')],
    'CR alone': [all.replaceAll('\n', '\r')],
    'line breaks mixed': [all.replace(/\n/g, (_, at: number) => (at % 3 === 0 ? '\r\n' : '\n'))],
    'a BOM before each': [`\ufeff${leaf.pem}\ufeff${chain}`, `\ufeff${key}`],
    'a BOM of UTF-8, read byte by byte': [decodeText(Buffer.from(`\ufeff${all}`))],
    'UTF-16, as PowerShell writes it': [decodeText(Buffer.from(`\ufeff${all.replaceAll('\n', '\r\n')}`, 'utf16le'))],
    'UTF-16, the other way round': [decodeText(Buffer.from(`\ufeff${all}`, 'utf16le').swap16())],
    'glued together without a line break': [all.replace(/-----\n-----/g, '----------')],
    'without a last line break': [(leaf.pem + chain).trimEnd(), key.trimEnd()],
    'all in one line': [all.replaceAll('\n', '')],
    'lines of 76': [rewrap(all, 76, '\r\n')],
    'lines of one': [rewrap(all, 1, '\n')],
    'one line each': [rewrap(all, 100_000, '\n')],
    indented: [all.replace(/^/gm, '      ')],
    'white space at the ends': [all.replace(/$/gm, ' \t')],
    'empty lines everywhere': [all.replaceAll('\n', '\n\n \n')],
    'text before, between and behind': [`subject=a\n${leaf.pem}\n0 s:/CN=Lower\n${chain}# -----BEGIN\n${key}-----\n`],
    'what openssl x509 -text prints': [text(leaf.pem) + text(lower.pem) + text(upper.pem) + key],
    'what openssl pkcs12 -nodes prints': [bags],
    'old labels': [all.replaceAll(' CERTIFICATE-', ' X509 CERTIFICATE-')],
    'other blocks': [`${request}${publicKey}${pemOf('X509 CRL', leaf.der)}${pemOf('DH PARAMETERS', leaf.der)}${all}`],
    'a block of something else without an end': [`-----BEGIN DH PARAMETERS-----\nAQ\n${all}`],
    'a root of another time': [all + (await mintAuthority({ name: 'Root', key: root.key })).pem],
  }
  for (const [about, [certificates, privateKey]] of Object.entries(cases)) {
    const { bundle, warnings } = take(certificates, privateKey)
    t.same(written(bundle), written(good.bundle), about)
    t.same(warnings, [])
  }
})

t.test('every kind of key in every form', async (t) => {
  const forms = {
    rsa2048: ['pkcs8', 'pkcs1'],
    rsa4096: ['pkcs8', 'pkcs1'],
    ec256: ['pkcs8', 'sec1', 'sec1-with-params'],
    ec384: ['pkcs8', 'sec1', 'sec1-with-params'],
    ec521: ['pkcs8', 'sec1', 'sec1-with-params'],
    ed25519: ['pkcs8'],
  } as const
  const described = {
    rsa2048: 'RSA 2048',
    rsa4096: 'RSA 4096',
    ec256: 'EC P-256',
    ec384: 'EC P-384',
    ec521: 'EC P-521',
  }
  for (const kind of Object.keys(forms) as Array<keyof typeof forms>) {
    const own = kind === 'rsa2048' || kind === 'rsa4096' ? rsaKey('normalize', kind) : generateKey(kind)
    const one = await mintLeaf({ names: ['a.test'], issuer: lower, key: own })
    for (const form of forms[kind]) {
      const { bundle } = take(one.pem + chain, keyPem(own, form))
      t.same(objections(bundle), [], `${kind} ${form}`)
      t.equal(bundle.privateKey.reveal(), keyPem(own, 'pkcs8'))
      t.equal(bundle.keyType, { ...described, ed25519: 'Ed25519' }[kind])
    }
    if (kind.startsWith('ec')) {
      const bare = openssl('ec', '-in', fileOf(keyPem(own, 'pkcs8')), '-no_public')
      t.equal(take(one.pem, bare).bundle.privateKey.reveal(), keyPem(own, 'pkcs8'), `${kind} without its public part`)
    }
  }
})

t.test('no certificate, no key', async (t) => {
  const request = openssl('req', '-new', '-key', fileOf(key), '-subj', '/CN=a')
  for (const [about, certificates] of Object.entries({
    nothing: '',
    text: 'no PEM at all',
    'a request': request,
    key,
  })) {
    refuses(t, 'CERTIFICATE_MISSING', certificates, key, `only a key and ${about}`, /BEGIN CERTIFICATE.*fullchain/)
  }
  const publicKey = openssl('pkey', '-in', fileOf(key), '-pubout')
  for (const [about, text] of Object.entries({ nothing: '', text: 'no PEM', chain, 'a public key': publicKey })) {
    refuses(t, 'KEY_MISSING', leaf.pem, text, `only a certificate and ${about}`, /BEGIN PRIVATE KEY/)
  }
  refuses(t, 'KEY_MISSING', '', '', 'nothing at all')
  refuses(t, 'KEY_MISSING', '\0'.repeat(100), '\ufffd', 'rubbish')
})

t.test('keys that are not the one', async (t) => {
  const other = keyPem(generateKey('ec256'), 'pkcs8')
  const pem = leaf.pem + chain
  const hint = /made for www\.example\.com/
  refuses(t, 'KEY_MISMATCH', pem, other, 'of another certificate', hint)
  refuses(t, 'KEY_MISMATCH', pem, keyPem(rsaKey('mismatch'), 'pkcs1'), 'of another kind', hint)
  refuses(t, 'KEY_MISMATCH', pem, keyPem(generateKey('ec384'), 'sec1'), 'on another curve', hint)
  refuses(t, 'KEY_MISMATCH', pem, keyPem(generateKey('ed25519'), 'pkcs8'), 'Ed25519', hint)
  refuses(t, 'KEY_MISMATCH', chain, key, 'the leaf is missing', /made for CN=Lower/)
  const unnamed = await mintLeaf({ names: ['a.test'], san: false, commonName: false })
  refuses(t, 'KEY_MISMATCH', unnamed.pem, key, 'and has no name', /made for the certificate/)
  refuses(t, 'KEY_AMBIGUOUS', pem, key + other, 'two keys', /one certificate only/)
  refuses(t, 'KEY_AMBIGUOUS', pem + other, key, 'one here, one there')
  const stem = generateKey('ec256')
  const swapped = stem.export({ type: 'sec1', format: 'der' })
  const scalar = (which: typeof stem): Buffer => Buffer.from(which.export({ format: 'jwk' }).d ?? '', 'base64url')
  scalar(generateKey('ec256')).copy(swapped, swapped.indexOf(scalar(stem)))
  const halved = await mintLeaf({ names: ['a.test'], issuer: lower, key: stem })
  t.ok(take(halved.pem, keyPem(stem, 'pkcs8')))
  refuses(t, 'KEY_DAMAGED', halved.pem, pemOf('EC PRIVATE KEY', swapped), 'right outside, wrong inside', /restore/)
  for (const form of ['pkcs8-encrypted', 'legacy-encrypted'] as const) {
    refuses(t, 'KEY_ENCRYPTED', pem, keyPem(leaf.key, form), form, /openssl pkey -in FILE -out/)
  }
  const ssh = '-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n-----END OPENSSH PRIVATE KEY-----\n'
  refuses(t, 'KEY_UNREADABLE', pem, ssh, 'an SSH key')
  refuses(
    t,
    'KEY_UNREADABLE',
    pem,
    pemOf('PRIVATE KEY', Buffer.concat([leaf.key.export({ type: 'pkcs8', format: 'der' }), Buffer.alloc(1)])),
    'with a byte behind it',
  )
  refuses(t, 'KEY_UNSUPPORTED', pem, openssl('ecparam', '-genkey', '-noout', '-name', 'secp256k1'), 'secp256k1')
  refuses(t, 'PEM_UNREADABLE', pem, key.slice(0, -40), 'cut off', /-----END PRIVATE KEY-----/)
  refuses(t, 'PEM_UNREADABLE', pem, key.replace(/\nMI../, '\nM*I.'), 'not base64')
})

t.test('certificates that are not the one', async (t) => {
  const again = await mintLeaf({ names: ['www.example.com'], issuer: lower, key: leaf.key })
  const error = refuses(t, 'LEAF_AMBIGUOUS', leaf.pem + again.pem + chain, key, 'a renewal with the same key', /serial/)
  for (const one of [leaf, again]) t.match(error.hint, new X509Certificate(one.der).serialNumber)

  const authority = await mintLeaf({ names: ['a.test'], issuer: root, ca: true })
  refuses(t, 'CERTIFICATE_IS_CA', authority.pem, keyPem(authority.key, 'pkcs8'), 'a leaf that says CA', /CA:FALSE/)
  refuses(t, 'CERTIFICATE_IS_CA', root.pem, keyPem(root.key, 'pkcs8'), 'a root', /CA:FALSE/)
  const unnamed = await mintLeaf({ names: ['a.test'], issuer: root, ca: true, commonName: false })
  refuses(t, 'CERTIFICATE_IS_CA', unnamed.pem, keyPem(unnamed.key, 'pkcs8'), 'one without a subject')
  refuses(t, 'CERTIFICATE_IS_CA', leaf.pem + chain, keyPem(lower.key, 'pkcs8'), 'the key of the intermediate')
  const both = await mintLeaf({ names: ['a.test'], issuer: root, key: authority.key })
  const shared = take(both.pem + root.pem, keyPem(authority.key, 'pkcs8'))
  t.equal(shared.bundle.leaf, both.pem)
  refuses(t, 'CHAIN_BROKEN', both.pem + authority.pem, keyPem(authority.key, 'pkcs8'), 'a CA with the leaf’s key')

  const stranger = await mintLeaf({ names: ['b.test'], issuer: lower })
  const hint = /another server certificate/
  refuses(t, 'CHAIN_BROKEN', leaf.pem + chain + stranger.pem, key, 'another certificate of the same CA', hint)
  const decoy = await mintAuthority({ name: 'Lower', issuer: upper })
  refuses(t, 'CHAIN_BROKEN', leaf.pem + decoy.pem, key, 'the right name, the wrong key', /missing.*CN=Lower/)
  refuses(t, 'CHAIN_BROKEN', leaf.pem + upper.pem, key, 'one is missing', /missing.*CN=Lower/)
  const strangers = await Promise.all(
    Array.from({ length: 100 }, (_, i) => mintAuthority({ name: `${i}`, key: root.key })),
  )
  refuses(t, 'CHAIN_BROKEN', leaf.pem + strangers.map(({ pem }) => pem).join(''), key, '100 strangers', /trust store/)

  const unreadable: Record<string, Buffer> = {
    'a byte behind it': Buffer.concat([leaf.der, Buffer.alloc(1)]),
    'cut off': leaf.der.subarray(0, -10),
    'another one behind it': Buffer.concat([leaf.der, lower.der]),
    'no certificate': Buffer.from('MAA=', 'base64'),
  }
  for (const [about, der] of Object.entries(unreadable)) {
    refuses(t, 'CERTIFICATE_UNREADABLE', pemOf('CERTIFICATE', der), key, about, /openssl x509 .*-text/)
    const second = refuses(
      t,
      'CERTIFICATE_UNREADABLE',
      `a\n${leaf.pem}${pemOf('CERTIFICATE', der)}`,
      key,
      `${about}, second`,
    )
    t.match(second.message, new RegExp(`line ${leaf.pem.split('\n').length + 1} `))
  }
  refuses(t, 'PEM_UNREADABLE', leaf.pem + chain.slice(0, -40), key, 'cut off', /-----END CERTIFICATE-----/)
  refuses(t, 'PEM_UNREADABLE', leaf.pem.slice(0, -40) + chain, key, 'cut off in the middle')
  refuses(t, 'PEM_UNREADABLE', leaf.pem.replace(/\nMI../, '\nM*I.'), key, 'not base64', /fetch/)
})

t.test('when it is valid', async (t) => {
  const at = (notBefore: Date, notAfter: Date) => async (moment: Date) => {
    const one = await mintLeaf({ names: ['a.test'], issuer: lower, notBefore, notAfter })
    return () => take(one.pem + chain, keyPem(one.key, 'pkcs8'), moment)
  }
  const [begin, end] = [new Date('2026-03-01T00:00:00Z'), new Date('2026-06-01T00:00:00Z')]
  const from = (date: Date, ms: number): Date => new Date(date.getTime() + ms)
  const look = at(begin, end)
  t.equal(clockSkew, 15 * 60_000)
  for (const moment of [from(begin, -clockSkew), from(begin, -1), begin, from(begin, 1), from(end, -1)]) {
    t.same((await look(moment))().warnings, [], moment.toISOString())
  }
  for (const moment of [from(end, 1), from(end, 1000), from(end, 3650 * day)]) {
    const error = refused(t, 'CERTIFICATE_EXPIRED', await look(moment), moment.toISOString(), /issue a new one.*clock/)
    t.match(error.message, /a\.test .*2026-06-01T00:00:00Z/)
  }
  for (const moment of [from(begin, -clockSkew - 1), from(begin, -day)]) {
    const error = refused(t, 'CERTIFICATE_NOT_YET_VALID', await look(moment), moment.toISOString(), /wait.*clock/)
    t.match(error.message, /a\.test .*2026-03-01T00:00:00Z/)
  }
  const future = await mintLeaf({ names: ['a.test'], issuer: lower, notAfter: new Date('2061-01-01T00:00:00Z') })
  t.equal(take(future.pem, keyPem(future.key, 'pkcs8')).bundle.notAfter.toISOString(), '2061-01-01T00:00:00.000Z')
})

t.test('titles of what is out of its time', async (t) => {
  const old = { issuer: lower, notAfter: days(-2) }
  const cases: Array<[Minted, RegExp]> = [
    [await mintLeaf({ ...old, names: ['first.test', 'second.test'] }), / first\.test /],
    [await mintLeaf({ ...old, names: ['common.test'], san: false }), / CN=common\.test /],
    [await mintLeaf({ ...old, names: ['a.test'], san: false, commonName: false, serial: '4711' }), / serial 4711 /],
  ]
  for (const [one, title] of cases) {
    t.match(refuses(t, 'CERTIFICATE_EXPIRED', one.pem, keyPem(one.key, 'pkcs8'), `${title}`).message, title)
  }
})

t.test('how large it may be', async (t) => {
  const pem = leaf.pem + chain
  const filled = (length: number): string => pem + '#'.repeat(length - pem.length)
  const { bundle } = take(filled(materialLimit - key.length), key)
  t.equal(materialLimit, 1_048_576)
  t.same(written(bundle), written(good.bundle), 'exactly 1 MiB')
  refuses(t, 'INPUT_TOO_LARGE', filled(materialLimit - key.length + 1), key, 'one byte more', /nothing else/)
  refuses(t, 'INPUT_TOO_LARGE', pem, key + ' '.repeat(materialLimit), 'in the text of the key')
  const all = filled(materialLimit - key.length) + key
  t.ok(take(all), 'the same text for both counts once')
  refuses(t, 'INPUT_TOO_LARGE', `${all}#`, all, 'together')
})

t.test('full to the brim, it comes to an end', async (t) => {
  const fill = (one: string, rest = ''): string =>
    one.repeat(Math.floor((materialLimit - rest.length) / one.length)) + rest
  const begun = performance.now()
  t.ok(take(fill(leaf.pem, chain + key)), 'one certificate over and over')
  const p521 = generateKey('ec521')
  const own = await mintLeaf({ names: ['a.test'], issuer: lower, key: p521 })
  t.ok(take(own.pem, fill(keyPem(p521, 'sec1'), own.pem).slice(0, -own.pem.length)), 'one key over and over')
  // A second or so on a slow machine; nobody needs a proof of the same key three thousand times.
  t.ok(performance.now() - begun < 6_000, 'without doing anything thousands of times')
  refuses(t, 'KEY_MISSING', fill('-----BEGIN '), '', 'beginnings')
  refuses(t, 'PEM_UNREADABLE', fill('-----BEGIN CERTIFICATE-----\n'), '', 'beginnings of certificates')
  refuses(t, 'KEY_MISSING', fill('-----END CERTIFICATE-----\n'), '', 'ends')
  refuses(t, 'KEY_MISSING', fill('-----BEGIN X-----\n-----END X-----\n'), '', 'blocks of something else')
  refuses(t, 'KEY_MISSING', fill('0\u0082ÿÿ'), '', 'DER in DER')
})

t.test('odd, but no reason to refuse', async (t) => {
  const own = keyPem(leaf.key, 'pkcs8')
  const warned = (certificates: string, privateKey = own): string[] => [...take(certificates, privateKey).warnings]
  t.match(warned(leaf.pem), [/no intermediate .*CN=Lower/], 'a leaf alone')
  t.equal(take(leaf.pem, own).bundle.chain, '')
  t.same(warned(leaf.pem + lower.pem), [], 'a chain that could be longer')

  const self = await mintLeaf({ names: ['a.test'] })
  t.same(warned(self.pem, keyPem(self.key, 'pkcs8')), [], 'what signed itself needs no intermediate')
  const ofRoot = await mintLeaf({ names: ['a.test'], issuer: root })
  t.same(warned(ofRoot.pem + root.pem, keyPem(ofRoot.key, 'pkcs8')), [], 'neither does what a root signed')
  t.equal(take(ofRoot.pem + root.pem, keyPem(ofRoot.key, 'pkcs8')).bundle.chain, '')
  t.match(warned(ofRoot.pem, keyPem(ofRoot.key, 'pkcs8')), [/unless CN=Root is a root/], 'if one knows')
  const ofNobody = await mintLeaf({ names: ['a.test'], issuer: { ...root, name: '' } })
  t.match(warned(ofNobody.pem, keyPem(ofNobody.key, 'pkcs8')), [/no intermediate/])
  const namesake = await mintLeaf({ names: ['ca.test'], issuer: await mintAuthority({ name: 'ca.test' }) })
  t.match(warned(namesake.pem, keyPem(namesake.key, 'pkcs8')), [/no intermediate/], 'called as its issuer is')

  const unnamed = await mintLeaf({ names: ['a.test'], issuer: lower, san: false })
  t.match(warned(unnamed.pem + chain, keyPem(unnamed.key, 'pkcs8')), [/no subject alternative names/])
  t.same(take(unnamed.pem + chain, keyPem(unnamed.key, 'pkcs8')).bundle.names, [])
  const hostile = await mintLeaf({ names: ['a.test', 'a, DNS:evil.test'], issuer: lower })
  const read = take(hostile.pem + chain, keyPem(hostile.key, 'pkcs8'))
  t.same(read.bundle.names, ['a.test'])
  t.match(read.warnings, [/passed over: .*evil\.test/])

  const byOther = await crossSign(lower, await mintAuthority({ name: 'Other' }))
  t.match(warned(leaf.pem + chain + byOther.pem), [/left out.*CN=Lower by CN=Other/])
  t.equal(take(leaf.pem + byOther.pem + chain, own).bundle.chain, chain, 'the way that leads further')
  t.equal(take(leaf.pem + byOther.pem + lower.pem, own).bundle.chain, byOther.pem, 'of two alike the first')
})

t.test('intermediates that ran out', async (t) => {
  const stale = await crossSign(lower, upper, { notAfter: days(-3) })
  const { bundle, warnings } = take(leaf.pem + stale.pem + upper.pem, key)
  t.equal(bundle.chain, stale.pem + upper.pem)
  t.match(warnings, [new RegExp(`CN=Lower expired on ${days(-3).toISOString().slice(0, 10)}T`)])
  const edge = new X509Certificate(stale.der).validTo
  const early = await mintLeaf({ names: ['a.test'], issuer: lower, notBefore: days(-30), notAfter: days(30) })
  const at = (ms: number): number =>
    take(early.pem + stale.pem + upper.pem, keyPem(early.key, 'pkcs8'), new Date(Date.parse(edge) + ms)).warnings.length
  t.same([at(-1), at(1)], [0, 1], 'to the moment')
  const expiredRoot = await mintAuthority({ name: 'Root', key: root.key, notAfter: days(-3) })
  t.same(take(leaf.pem + chain + expiredRoot.pem, key).warnings, [], 'a root is dropped anyway')
})

t.test('of two versions of an intermediate, one that ran out gives way to the one in force', async (t) => {
  const stale = await crossSign(lower, upper, { notAfter: days(-3) })
  for (const order of [
    [stale, lower, upper],
    [lower, stale, upper],
    [upper, stale, lower],
  ]) {
    const { bundle } = take(leaf.pem + order.map(({ pem }) => pem).join(''), key)
    t.equal(bundle.chain, chain)
  }
})

t.test('what a certificate says of itself does not reach the terminal as a command', async (t) => {
  const nasty = 'a\u009b31mb\u0085c\u2028d\u202ee\u001b[2Jf\ng'
  const authority: Authority = await mintAuthority({ name: nasty })
  const one = (
    options: { notAfter?: Date; notBefore?: Date; ca?: boolean; issuer?: Authority } = {},
  ): Promise<Minted> => mintLeaf({ names: ['x'], san: false, commonName: nasty, issuer: authority, ...options })
  const cases: Array<[InputCode, Minted, string]> = [
    ['CERTIFICATE_EXPIRED', await one({ notAfter: days(-2) }), ''],
    ['CERTIFICATE_NOT_YET_VALID', await one({ notBefore: days(2) }), ''],
    ['CERTIFICATE_IS_CA', await one({ ca: true }), ''],
    ['CHAIN_BROKEN', await one(), root.pem],
    ['CHAIN_BROKEN', await one({ issuer: root }), authority.pem],
  ]
  for (const [code, minted, others] of cases) refuses(t, code, minted.pem + others, keyPem(minted.key, 'pkcs8'), code)
  refuses(t, 'KEY_MISMATCH', authority.pem, key, 'in a hint')
  const accepted = await one()
  const { bundle, warnings } = take(accepted.pem, keyPem(accepted.key, 'pkcs8'))
  for (const text of [...warnings, bundle.issuer, bundle.name]) t.same(unprintableIn(text), [])
})

t.test('other wrappings: the line that the hint names does convert them', async (t) => {
  const pem = leaf.pem + chain
  const [certificates, keyFile] = [fileOf(pem), fileOf(key)]
  const p12 = ['pkcs12', '-export', '-in', certificates, '-inkey', keyFile, '-passout', 'pass:a']
  const p7 = (form: string): Buffer => opensslBytes('crl2pkcs7', '-nocrl', '-certfile', certificates, '-outform', form)
  const traditional = openssl('pkey', '-in', keyFile, '-aes256', '-passout', 'pass:a', '-traditional')
  const trusted = openssl('x509', '-in', fileOf(leaf.pem), '-trustout')
  const der = (kind: string, file: string, ...more: string[]): Buffer =>
    opensslBytes(kind, '-in', file, '-outform', 'DER', ...more)
  const encryptedDer = ['-topk8', '-v2', 'aes-256-cbc', '-passout', 'pass:a']
  t.match(trusted, /BEGIN TRUSTED CERTIFICATE/)

  // What is given for certificates and key, which of them is wrapped, and whether a passphrase is asked for.
  const cases: Array<[InputCode, string, string | Buffer, 'certificates' | 'key' | 'both', boolean]> = [
    ['INPUT_IS_DER', 'certificate in DER', der('x509', fileOf(leaf.pem)), 'certificates', false],
    ['INPUT_IS_DER', 'PKCS#8 in DER', der('pkcs8', keyFile, '-topk8', '-nocrypt'), 'key', false],
    ['INPUT_IS_DER', 'SEC1 in DER', der('ec', keyFile), 'key', false],
    ['INPUT_IS_DER', 'encrypted PKCS#8 in DER', der('pkcs8', keyFile, ...encryptedDer), 'key', true],
    ['INPUT_IS_PKCS7', 'PKCS#7 in DER', p7('DER'), 'certificates', false],
    ['INPUT_IS_PKCS7', 'PKCS#7 in PEM', p7('PEM'), 'certificates', false],
    ['INPUT_IS_PKCS7', 'CMS in PEM', p7('PEM').toString().replaceAll(' PKCS7-', ' CMS-'), 'certificates', false],
    ['INPUT_IS_PKCS12', 'PKCS#12', opensslBytes(...p12), 'both', true],
    ['CERTIFICATE_UNREADABLE', 'trust marks', trusted, 'certificates', false],
    ['KEY_ENCRYPTED', 'encrypted PKCS#8', keyPem(leaf.key, 'pkcs8-encrypted', 'a'), 'key', true],
    ['KEY_ENCRYPTED', 'encrypted as of old', traditional, 'key', true],
  ]
  for (const [code, about, content, which, asks] of cases) {
    const wrapped = decodeText(Buffer.from(content))
    const material = { certificates: which === 'key' ? pem : wrapped, key: which === 'certificates' ? key : wrapped }
    const { hint = '' } = refuses(t, code, material.certificates, material.key, about, /openssl/)
    if (about.startsWith('CMS')) continue
    const folder = mkdtempSync(join(scratch, 'hint-'))
    writeFileSync(join(folder, 'FILE'), content)
    const words = /openssl [^()]*[^() ]/.exec(hint)?.[0].split(' ') ?? []
    const passphrase = asks ? ['-passin', 'pass:a'] : []
    execFileSync('openssl', [...words.slice(1), ...passphrase], { cwd: folder, stdio: 'pipe' })
    const converted = readFileSync(join(folder, words[words.indexOf('-out') + 1] ?? ''), 'utf8')
    const { bundle } = take(which === 'key' ? pem : converted, which === 'certificates' ? key : converted)
    t.equal(bundle.leaf, leaf.pem, `${about}: ${words.join(' ')}`)
    t.equal(bundle.privateKey.reveal(), key)
  }
  refuses(t, 'INPUT_IS_PKCS7', p7('PEM').toString() + key, key, 'PKCS#7 beside a key')
  refuses(t, 'INPUT_IS_DER', '', der('ec', keyFile).toString('latin1'), 'nothing but a key in DER')
})
