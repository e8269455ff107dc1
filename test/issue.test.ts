// `acme-oss issue-and-deploy` as its users run it, at a real CA (Pebble) and into an emulated bucket.
import { X509Certificate } from 'node:crypto'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { generateKey, keyTypes } from '../src/issuer/certificate-key.js'
import { startDelayProxy } from './delay-proxy.js'
import {
  bucket,
  certificatesIn,
  email,
  isServable,
  modesBelow,
  namesOf,
  orderAt,
  prefix,
  standaloneFor,
  startWithPebble as start,
  testOutput,
} from './issue-command.js'
import { hasPebble } from './pebble.js'

if (!hasPebble()) t.bailout('pebble is not installed')

const numbered = (count: number): string[] => Array.from({ length: count }, (_, i) => `n${i}.example.com`)

t.test('the command', async (t) => {
  const [pebble, place] = await start(t)
  const names = ['a.example.com', 'b.example.com']
  const words = [...orderAt(pebble, ...names), ...standaloneFor(pebble), ...place.toBucket]
  const result = await place.run(words)
  if (!t.equal(result.code, 0)) t.comment(result.stderr)
  t.match(
    result.stdout,
    /^a\.example\.com \(\d{4}-\d\d-\d\d_[0-9a-f]{8}, valid until [\d-]+\) is in place: oss [^\n]+\n$/,
  )
  for (const step of ['account registered', 'order placed for 2 names', 'names proven', 'certificate issued']) {
    t.ok(result.stderr.includes(step), step)
  }
  const files = ['README.md', 'cert.pem', 'chain.pem', 'fullchain.pem', 'privkey.pem']
  const [leaf] = certificatesIn(place.object('latest/cert.pem'))
  const sha1 = leaf?.fingerprint.replaceAll(':', '').toLowerCase().slice(0, 8)
  const archive = `${new Date(leaf?.validFrom ?? '').toISOString().slice(0, 10)}_${sha1}`
  t.same(place.objects(), [archive, 'latest'].flatMap((folder) => files.map((file) => `${folder}/${file}`)).sort())
  await isServable(t, pebble, place, names)
  t.equal(pebble.issued(), 1)
  t.same(
    modesBelow(place.state).filter((line) => !/(\/ 700|[^/] 600)$/.test(line)),
    [],
    'the state folder is its owner’s alone',
  )
  t.same(readdirSync(join(place.state, 'accounts', encodeURIComponent(`localhost:${pebble.port}/dir`))).sort(), [
    encodeURIComponent(email),
    'directory.json',
  ])
  t.same(readdirSync(join(place.state, 'locks')), [], 'no lock is left')

  t.test('again: the stored one is deployed, and nothing is ordered', async (t) => {
    const mark = pebble.mark()
    const before = place.objects()
    const again = await place.run([...words, '--json'])
    t.equal(again.code, 0)
    t.same(pebble.requests(mark), {}, 'the CA is not even asked')
    t.same(place.objects(), before)
    t.match(again.json, {
      ok: true,
      order: { placed: false, ms: 0 },
      stages: [{ status: 'unchanged' }],
      pending: [],
      error: null,
    })
    t.match(again.stderr, /not due before \d{4}-\d\d-\d\d/)
    t.equal((await place.run([...words.filter((word) => word !== '--agree-tos'), '--json'])).code, 0)
    t.match(
      await place.run(['-d', 'b.example.com', '-d', 'A.Example.com.', '--name', 'a.example.com', ...words.slice(4)]),
      {
        code: 0,
      },
    )
    t.same(pebble.requests(mark), {}, 'nor for the same names in another order and spelling')
  })

  t.test('--json', async (t) => {
    const other = [...orderAt(pebble, 'json.example.com'), ...standaloneFor(pebble), ...place.toBucket]
    const { code, json, stdout } = await place.run([...other, '--json'])
    t.equal(code, 0)
    t.equal(stdout.trimEnd().split('\n').length, 1, 'one line')
    t.strictSame(
      Object.keys(json),
      ['schema', 'command', 'ok', 'certificate', 'order', 'stages', 'pending', 'warnings', 'error'],
      'and these fields',
    )
    const [issued] = certificatesIn(place.object('latest/cert.pem'))
    t.match(json, {
      schema: 'acme-oss/1',
      command: 'issue-and-deploy',
      ok: true,
      certificate: {
        name: 'json.example.com',
        names: ['json.example.com'],
        notBefore: new Date(issued?.validFrom ?? '').toISOString(),
        notAfter: new Date(issued?.validTo ?? '').toISOString(),
        serial: /^[0-9a-f]+$/i,
        sha1: issued?.fingerprint.replaceAll(':', '').toLowerCase(),
        sha256: issued?.fingerprint256.replaceAll(':', '').toLowerCase(),
        archive: /^\d{4}-\d\d-\d\d_[0-9a-f]{8}$/,
      },
      order: { ca: `localhost:${pebble.port}`, placed: true, ms: Number },
      stages: [
        {
          target: `oss ${bucket}/${prefix}`,
          status: 'changed',
          steps: [
            { id: 'archive', status: 'changed', ms: Number },
            { id: 'latest', status: 'changed', ms: Number },
          ],
        },
      ],
      pending: [],
      warnings: [],
      error: null,
    })
    t.ok((json.order?.ms ?? 0) > 0)
  })

  t.test('--quiet says nothing but the result', async (t) => {
    const { code, stdout, stderr } = await place.run([
      ...orderAt(pebble, 'quiet.example.com'),
      ...standaloneFor(pebble),
      // A place of its own: that of another site would be worth a warning.
      ...['--directory', join(place.folder, 'quiet')],
      '--quiet',
    ])
    t.equal(code, 0)
    t.equal(stderr, '')
    t.match(stdout, /^quiet\.example\.com/)
  })
})

t.test('a CA that rejects three nonces of ten, with two intermediates and several roots', async (t) => {
  const [pebble, place] = await start(t, { nonceReject: 30, chainLength: 2, alternateRoots: 2 })
  const issue = async (names: readonly string[], more: readonly string[] = []) => {
    const words = [...orderAt(pebble, ...names), ...standaloneFor(pebble), ...place.toBucket, ...more, '--json']
    const result = await place.run(words)
    if (!t.equal(result.code, 0)) t.comment(result.stderr)
    t.notMatch(result.stderr, /bad ?nonce/i)
    t.equal(certificatesIn(place.object('latest/chain.pem')).length, 2)
    return result.json.warnings
  }
  await issue(numbered(30))
  await isServable(t, pebble, place, numbered(30))
  t.equal(pebble.issued(), 1)

  const nameOf = async (index: number) =>
    /^CN=(.+)$/m.exec(new X509Certificate(await pebble.rootPem(index)).subject)?.[1]
  const [first = '', last = ''] = await Promise.all([nameOf(0), nameOf(2)])
  t.not(first, last)
  const above = () => certificatesIn(place.object('latest/chain.pem')).at(-1)?.issuer
  t.same(await issue(['n0.example.com'], ['--preferred-chain', last]), [])
  t.equal(above(), `CN=${last}`)
  const [warning] = await issue(['n0.example.com'], ['--preferred-chain', 'Nobody', '--force-renewal'])
  t.match(warning, /^no chain leads to Nobody/)
  t.ok(warning?.includes(last))
  t.equal(above(), `CN=${first}`)
})

t.test('a hundred names, at a CA that takes its time and believes what was proven before', async (t) => {
  const [pebble, place] = await start(t, { vaSleep: 2, authzReuse: 100 })
  const names = numbered(100)
  const words = [...orderAt(pebble, ...names), ...standaloneFor(pebble), ...place.toBucket, '--force-renewal']
  const result = await place.run(words)
  if (!t.equal(result.code, 0)) t.comment(result.stderr)
  await isServable(t, pebble, place, names)
  t.equal(pebble.requests()['POST /order-plz'], 1)
  t.equal(pebble.requests()['POST /chalZ'], 100)
  const mark = pebble.mark()
  const again = await place.run(words)
  if (!t.equal(again.code, 0)) t.comment(again.stderr)
  t.equal(pebble.requests(mark)['POST /chalZ'], undefined, 'no challenge was answered')
  t.equal(pebble.issued(mark), 1)
  await isServable(t, pebble, place, names)
})

t.test('kinds of keys, and of names', async (t) => {
  const [pebble, place] = await start(t)
  const issue = async (t: Test, names: readonly string[], more: readonly string[] = []) => {
    const words = [...orderAt(pebble, ...names), ...standaloneFor(pebble), ...place.toBucket, ...more]
    // What is made is looked at, not the process that makes it.
    const result = await place.run(words, { here: true })
    if (!t.equal(result.code, 0)) t.comment(result.stderr)
    return certificatesIn(place.object('latest/cert.pem'))[0]
  }
  for (const [type, kind, details] of [
    ['ec256', 'ec', { namedCurve: 'prime256v1' }],
    ['ec384', 'ec', { namedCurve: 'secp384r1' }],
    ['ec521', 'ec', { namedCurve: 'secp521r1' }],
    ['rsa2048', 'rsa', { modulusLength: 2048 }],
  ] as const) {
    t.test(type, async (t) => {
      const mark = pebble.mark()
      const key = (await issue(t, ['key.example.com'], ['--key-type', type]))?.publicKey
      t.equal(key?.asymmetricKeyType, kind)
      t.match(key?.asymmetricKeyDetails, details)
      t.equal(pebble.requests(mark)['POST /chalZ'], 1, 'this one believes nothing that was proven before')
      await isServable(t, pebble, place, ['key.example.com'])
    })
  }

  t.test('every kind of key can be made', async (t) => {
    for (const type of keyTypes) {
      const key = await generateKey(type)
      const size = Number(type.replace(/\D/g, ''))
      const curves: Readonly<Record<number, string>> = { 256: 'prime256v1', 384: 'secp384r1', 521: 'secp521r1' }
      t.equal(key.type, 'private')
      t.match(key.asymmetricKeyDetails, type.startsWith('rsa') ? { modulusLength: size } : { namedCurve: curves[size] })
    }
    const spki = async () => (await generateKey('ec256')).export({ format: 'jwk' }).x
    t.not(await spki(), await spki(), 'each is another')
  })

  t.test('an address', async (t) => {
    const leaf = await issue(t, ['127.0.0.1'])
    t.equal(leaf?.subjectAltName, 'IP Address:127.0.0.1')
    t.ok(leaf?.checkIP('127.0.0.1'))
  })

  t.test('an address of IPv6, beside a name', async (t) => {
    const leaf = await issue(t, ['::1', 'six.example.com', '0:0:0:0:0:0:0:1'])
    t.ok(leaf?.checkIP('::1'))
    t.ok(leaf?.checkHost('six.example.com'))
    t.equal(leaf?.subjectAltName?.split(', ').length, 2)
  })

  t.test('names in Unicode, in capitals, with a final dot, and twice', async (t) => {
    const leaf = await issue(t, [
      'Bücher.example.com',
      'xn--bcher-kva.example.com',
      'WWW.Example.COM',
      'www.example.com.',
    ])
    t.same(namesOf(leaf), ['www.example.com', 'xn--bcher-kva.example.com'])
    t.ok(existsSync(join(place.state, 'certificates/xn--bcher-kva.example.com/certificate.json')))
  })
})

t.test('how often it waits for a CA that is far away', async (t) => {
  const [pebble, place] = await start(t)
  const proxy = await startDelayProxy({ target: pebble.port, roundTripMs: 100 })
  t.teardown(() => proxy.close())
  const issue = async (names: readonly string[]): Promise<void> => {
    const words = orderAt(pebble, ...names).map((word) =>
      word === pebble.directoryUrl ? `https://localhost:${proxy.port}/dir` : word,
    )
    const result = await place.run([...words, ...standaloneFor(pebble), ...place.toFolder, '--force-renewal'])
    if (!t.equal(result.code, 0)) t.comment(result.stderr)
  }
  await issue(['first.example.com'])
  for (const count of [1, 20]) {
    // A machine that is busy with something else makes the CA late, and then it is looked at once more.
    let least = Number.POSITIVE_INFINITY
    for (let attempt = 0; attempt < 4 && least > 12; attempt++) {
      proxy.reset()
      await issue(numbered(count))
      t.equal(proxy.connections, 1, 'one connection')
      least = Math.min(least, proxy.depth())
    }
    t.ok(least <= 12, `${count === 1 ? 'one name' : `${count} names`}: ${least} round trips`)
  }
})

t.test('nothing was given away by any of this', async (t) => testOutput(t))
