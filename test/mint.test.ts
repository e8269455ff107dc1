import { execFileSync, spawnSync } from 'node:child_process'
import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import {
  type Authority,
  crossSign,
  generateKey,
  type KeyForm,
  type KeyKind,
  keyPem,
  type Minted,
  mintAuthority,
  mintLeaf,
  pemOf,
  rsaKey,
  testPassphrase,
} from './mint.js'

const folder = await mkdtemp(join(tmpdir(), 'acme-oss-mint-'))
t.teardown(() => rm(folder, { recursive: true, force: true }))

let files = 0
function fileOf(text: string): string {
  const path = join(folder, `${files++}.pem`)
  writeFileSync(path, text)
  return path
}

const openssl = (...args: string[]): string => execFileSync('openssl', args, { encoding: 'utf8', stdio: 'pipe' })

/** What openssl thinks of the chain; strict, so that extensions and their DER are looked at as well. */
function verify(root: Minted, between: readonly Minted[], leaf: Minted, at?: Date): boolean {
  const untrusted = between.length ? ['-untrusted', fileOf(between.map(({ pem }) => pem).join(''))] : []
  const attime = at ? ['-attime', String(Math.floor(at.getTime() / 1000))] : []
  const trusted = ['-no-CApath', '-no-CAstore', '-CAfile', fileOf(root.pem)]
  const args = ['verify', '-x509_strict', '-purpose', 'sslserver', ...attime, ...trusted, ...untrusted]
  return spawnSync('openssl', [...args, fileOf(leaf.pem)], { stdio: 'ignore' }).status === 0
}

function issuedBy(t: Test, child: Minted, parent: Minted): void {
  const [below, above] = [new X509Certificate(child.der), new X509Certificate(parent.der)]
  t.ok(below.checkIssued(above), 'names and identifiers match')
  t.ok(below.verify(above.publicKey), 'the signature is the parent’s')
}

const text = (minted: Minted): string => openssl('x509', '-noout', '-text', '-in', fileOf(minted.pem))
const days = (count: number): Date => new Date(Date.now() + count * 86_400_000)
const sameSecond = (a: Date, b: Date): boolean => Math.floor(a.getTime() / 1000) === Math.floor(b.getTime() / 1000)
const kinds: KeyKind[] = ['rsa2048', 'rsa3072', 'rsa4096', 'ec256', 'ec384', 'ec521', 'ed25519']
const keys = new Map<KeyKind, KeyObject>()
function keyOf(kind: KeyKind): KeyObject {
  const key = keys.get(kind) ?? generateKey(kind)
  keys.set(kind, key)
  return key
}

t.test('every kind of key makes a root, an intermediate and a leaf that verify', async (t) => {
  for (const kind of kinds) {
    const key = keyOf(kind)
    const root = await mintAuthority({ name: `Root ${kind}`, key })
    const intermediate = await mintAuthority({ name: `Intermediate ${kind}`, issuer: root })
    const leaf = await mintLeaf({ issuer: intermediate, names: ['www.example.com'], key })
    issuedBy(t, root, root)
    issuedBy(t, intermediate, root)
    issuedBy(t, leaf, intermediate)
    t.ok(verify(root, [intermediate], leaf), `openssl verifies the chain of ${kind}`)
    t.notOk(verify(root, [], leaf), 'and not without the intermediate')
    t.ok(new X509Certificate(leaf.der).checkPrivateKey(leaf.key), 'the key belongs to the leaf')
    t.notOk(new X509Certificate(intermediate.der).checkPrivateKey(leaf.key), 'and to nothing else')
  }
})

t.test('the names of kinds are what they say', async (t) => {
  const described = kinds.map((kind) => {
    const { asymmetricKeyType, asymmetricKeyDetails: details } = keyOf(kind)
    return `${kind}: ${asymmetricKeyType} ${details?.modulusLength ?? details?.namedCurve ?? ''}`.trim()
  })
  t.same(described, [
    'rsa2048: rsa 2048',
    'rsa3072: rsa 3072',
    'rsa4096: rsa 4096',
    'ec256: ec prime256v1',
    'ec384: ec secp384r1',
    'ec521: ec secp521r1',
    'ed25519: ed25519',
  ])
})

t.test('an authority is one', async (t) => {
  const root = await mintAuthority()
  const intermediate = await mintAuthority({ issuer: root, name: 'Sub, with = and + in it' })
  const [above, below] = [new X509Certificate(root.der), new X509Certificate(intermediate.der)]
  t.ok(above.ca && below.ca)
  t.equal(above.subject, 'CN=Test Root CA')
  t.equal(above.issuer, above.subject)
  t.equal(intermediate.name, 'Sub, with = and + in it')
  t.equal(below.toLegacyObject().subject.CN, intermediate.name, 'punctuation stays in the name')
  const shown = text(intermediate)
  t.match(shown, /X509v3 Basic Constraints: critical\s+CA:TRUE\n/)
  t.match(shown, /X509v3 Key Usage: critical\s+Digital Signature, Certificate Sign, CRL Sign\n/)
  t.equal(identifier(shown, 'Authority'), identifier(text(root), 'Subject'))
  t.not(identifier(shown, 'Subject'), identifier(shown, 'Authority'))
})

function identifier(shown: string, which: 'Authority' | 'Subject'): string {
  return new RegExp(`${which} Key Identifier:\\s+([0-9A-F:]{59})\\s`).exec(shown)?.[1] ?? `no ${which} key identifier`
}

t.test('cross-signing leads to both roots, each way', async (t) => {
  const [old, young] = [await mintAuthority({ name: 'Old Root' }), await mintAuthority({ name: 'Young Root' })]
  const intermediate = await mintAuthority({ name: 'Intermediate', issuer: young })
  const leaf = await mintLeaf({ issuer: intermediate, names: ['example.com'] })
  const youngByOld = await crossSign(young, old)
  const intermediateByOld = await crossSign(intermediate, old)
  t.equal(youngByOld.name, young.name)
  t.equal(youngByOld.key, young.key)
  t.equal(new X509Certificate(youngByOld.der).issuer, 'CN=Old Root')
  t.equal(identifier(text(youngByOld), 'Subject'), identifier(text(young), 'Subject'))
  t.ok(verify(young, [intermediate], leaf), 'plain')
  t.ok(verify(old, [intermediate, youngByOld], leaf), 'by way of the cross-signed root')
  t.ok(verify(old, [intermediateByOld], leaf), 'by way of the cross-signed intermediate')
  t.notOk(verify(old, [intermediate], leaf), 'not without a cross-sign')
  const oldByYoung = await crossSign(old, young)
  const leafOfOld = await mintLeaf({ issuer: old, names: ['example.com'] })
  t.ok(verify(young, [oldByYoung], leafOfOld), 'and the other way round')
  issuedBy(t, youngByOld, old)
  issuedBy(t, oldByYoung, young)
  const later = { notBefore: days(-3), notAfter: days(3) }
  t.ok(sameSecond(new Date(new X509Certificate((await crossSign(young, old, later)).der).validTo), later.notAfter))
})

t.test('names', async (t) => {
  const issuer = await mintAuthority()
  const names = ['a.example.com', '*.b.example.com', '192.0.2.7', '2001:db8::7', '::1', 'xn--fiqs8s.example']
  const leaf = await mintLeaf({ issuer, names })
  const parsed = new X509Certificate(leaf.der)
  t.equal(
    parsed.subjectAltName,
    'DNS:a.example.com, DNS:*.b.example.com, IP Address:192.0.2.7, IP Address:2001:DB8:0:0:0:0:0:7, ' +
      'IP Address:0:0:0:0:0:0:0:1, DNS:xn--fiqs8s.example',
  )
  t.equal(parsed.subject, 'CN=a.example.com')
  t.ok(parsed.checkHost('x.b.example.com'))
  t.ok(parsed.checkIP('192.0.2.7'))
  t.ok(parsed.checkIP('2001:db8::7'))
  t.notOk(parsed.ca)
  t.ok(verify(issuer, [], leaf))

  const long = `${'a'.repeat(60)}.example.com`
  t.equal(new X509Certificate((await mintLeaf({ issuer, names: [long, 'b.test'] })).der).subject, 'CN=b.test')
  const other = await mintLeaf({ issuer, names, commonName: 'Someone' })
  t.equal(new X509Certificate(other.der).subject, 'CN=Someone')

  const nameless = await mintLeaf({ issuer, names: [long], commonName: false })
  t.notOk(new X509Certificate(nameless.der).subject)
  t.match(text(nameless), /X509v3 Subject Alternative Name: critical/)
  t.ok(verify(issuer, [], nameless), 'an empty subject')

  const bare = new X509Certificate((await mintLeaf({ issuer, names: ['a.test'], san: false })).der)
  t.equal(bare.subjectAltName, undefined)
  t.equal(bare.subject, 'CN=a.test')
})

t.test('dates', async (t) => {
  const dates = async (options: { notBefore?: Date; notAfter?: Date }): Promise<[Date, Date]> => {
    const { validFrom, validTo } = new X509Certificate((await mintLeaf({ names: ['a.test'], ...options })).der)
    return [new Date(validFrom), new Date(validTo)]
  }
  const [from, to] = await dates({})
  t.ok(from < new Date() && from > days(-1))
  t.ok(to > days(89) && to < days(91))
  const exact = { notBefore: new Date('2024-02-29T23:59:58.999Z'), notAfter: new Date('2061-01-01T00:00:00.5Z') }
  t.same(await dates(exact), [new Date('2024-02-29T23:59:58Z'), new Date('2061-01-01T00:00:00Z')], 'whole seconds')
  const [yesterday, nextWeek] = [days(-1), days(7)]
  const [before, past] = await dates({ notAfter: yesterday })
  t.ok(sameSecond(past, yesterday) && before < past, 'one that ran out had its time')
  const [future, after] = await dates({ notBefore: nextWeek })
  t.ok(sameSecond(future, nextWeek) && after > future, 'one that is not yet valid will be')

  const issuer = await mintAuthority()
  const old = await mintLeaf({ issuer, names: ['a.test'], notAfter: days(-10) })
  t.notOk(verify(issuer, [], old), 'refused today')
  t.ok(verify(issuer, [], old, days(-11)), 'good in its time')
  t.ok(verify(issuer, [], await mintLeaf({ issuer, names: ['a.test'], notAfter: exact.notAfter })), 'beyond 2049')
  const brief: Authority = await mintAuthority({ notBefore: days(-3), notAfter: days(-2) })
  t.notOk(verify(brief, [], await mintLeaf({ issuer: brief, names: ['a.test'] })), 'an authority that ran out')
})

t.test('a self-signed leaf, a serial, a leaf that claims to be a CA', async (t) => {
  const self = await mintLeaf({ names: ['self.test', '127.0.0.1'], serial: '00ff10' })
  const parsed = new X509Certificate(self.der)
  issuedBy(t, self, self)
  t.equal(parsed.serialNumber, 'FF10')
  t.match(text(self), /Serial Number: 65296 \(0xff10\)/, 'positive')
  const shown = text(self)
  t.equal(identifier(shown, 'Subject'), identifier(shown, 'Authority'))
  const [one, two] = [await mintLeaf({ names: ['a.test'] }), await mintLeaf({ names: ['a.test'] })]
  t.not(new X509Certificate(one.der).serialNumber, new X509Certificate(two.der).serialNumber)
  const issuer = await mintAuthority()
  const pretender = await mintLeaf({ issuer, names: ['a.test'], ca: true })
  t.ok(new X509Certificate(pretender.der).ca)
  t.match(text(pretender), /Digital Signature, Certificate Sign\n/)
  const again = await mintLeaf({ names: ['a.test'], key: one.key })
  t.equal(again.key, one.key, 'a renewal may keep its key')
})

t.test('the PEM is exact', async (t) => {
  const { pem, der } = await mintLeaf({ names: ['a.test'] })
  t.match(pem, /^-----BEGIN CERTIFICATE-----\n([A-Za-z0-9+/]{64}\n)+[A-Za-z0-9+/=]{1,64}\n-----END CERTIFICATE-----\n$/)
  t.equal(openssl('x509', '-in', fileOf(pem)), pem, 'byte for byte what openssl writes')
  t.same(new X509Certificate(pem).raw, der)
  t.equal(pemOf('X', Buffer.alloc(48, 1)), `-----BEGIN X-----\n${'AQEB'.repeat(16)}\n-----END X-----\n`)
  t.equal(pemOf('X', Buffer.alloc(0)), '-----BEGIN X-----\n-----END X-----\n')
})

t.test('keys in every form', async (t) => {
  const rsa: KeyForm[] = ['pkcs8', 'pkcs1', 'pkcs8-encrypted', 'legacy-encrypted']
  const ec: KeyForm[] = ['pkcs8', 'sec1', 'sec1-with-params', 'pkcs8-encrypted', 'legacy-encrypted']
  const forms: Record<KeyKind, KeyForm[]> = {
    rsa2048: rsa,
    rsa3072: rsa,
    rsa4096: rsa,
    ec256: ec,
    ec384: ec,
    ec521: ec,
    ed25519: ['pkcs8', 'pkcs8-encrypted'],
  }
  const heads: Record<KeyForm, RegExp> = {
    pkcs8: /^-----BEGIN PRIVATE KEY-----\n/,
    pkcs1: /^-----BEGIN RSA PRIVATE KEY-----\n[^-]+-----END/,
    sec1: /^-----BEGIN EC PRIVATE KEY-----\n/,
    'sec1-with-params':
      /^-----BEGIN EC PARAMETERS-----\n\S+\n-----END EC PARAMETERS-----\n-----BEGIN EC PRIVATE KEY-----\n/,
    'pkcs8-encrypted': /^-----BEGIN ENCRYPTED PRIVATE KEY-----\n/,
    'legacy-encrypted': /^-----BEGIN (RSA|EC) PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,/,
  }
  for (const kind of kinds) {
    const key = keyOf(kind)
    const wanted = createPublicKey(key).export({ type: 'spki', format: 'pem' })
    for (const form of forms[kind]) {
      const pem = keyPem(key, form)
      t.match(pem, heads[form], `${kind} ${form}`)
      t.ok(pem.endsWith('-----\n') && !pem.includes('\r'))
      t.equal(openssl('pkey', '-passin', `pass:${testPassphrase}`, '-pubout', '-in', fileOf(pem)), wanted, 'openssl')
      t.ok(createPrivateKey({ key: pem, passphrase: testPassphrase }).equals(key), 'node')
      if (form.endsWith('encrypted')) {
        t.throws(() => createPrivateKey({ key: pem, passphrase: 'wrong' }))
        t.ok(createPrivateKey({ key: keyPem(key, form, 'own'), passphrase: 'own' }).equals(key), 'own passphrase')
      }
    }
  }
  const genuine = openssl('ecparam', '-name', 'secp384r1', '-genkey')
  t.equal(keyPem(createPrivateKey(genuine), 'sec1-with-params'), genuine, 'as openssl ecparam -genkey writes it')
  t.throws(() => keyPem(keyOf('ec256'), 'pkcs1'))
  t.throws(() => keyPem(keyOf('ed25519'), 'sec1-with-params'))
})

t.test('RSA keys are kept by label', async (t) => {
  t.equal(rsaKey('a'), rsaKey('a'))
  t.notOk(rsaKey('a').equals(rsaKey('b')))
  t.equal(rsaKey('a', 'rsa3072').asymmetricKeyDetails?.modulusLength, 3072)
})
